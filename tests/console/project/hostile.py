"""Names, texts and output of somebody who would like a browser to execute them."""

ATTACKS = (
    "<script>document.title='owned'</script>",
    "<img src=x onerror=\"document.title='owned'\">",
    "\"><svg/onload=document.title='owned'>",
    "javascript:document.title='owned'",
    "{{ 7 * 7 }} ${7*7} </script></textarea><b>bold</b>",
    "\u202egnp.exe \x1b]8;;javascript:alert(1)\x07link\x1b]8;;\x07",
)
