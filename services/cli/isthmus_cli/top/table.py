"""A table whose rows change while somebody moves through them."""

from collections.abc import Iterable, Sequence

from rich.text import Text
from textual.widgets import DataTable


class LiveTable(DataTable[Text]):
    """Shows rows by their keys; the cursor stays at its row while that is there."""

    def __init__(self, columns: Sequence[str], *, name: str) -> None:
        super().__init__(cursor_type="row", zebra_stripes=True, id=name)
        self._titles = columns

    def on_mount(self) -> None:
        """Make the columns."""
        self.add_columns(*self._titles)

    def show(self, rows: Iterable[tuple[str, Sequence[Text]]]) -> None:
        """Show these rows, and no others; nothing before it is laid out, or while it is taken away."""
        if not self.is_mounted:
            return
        chosen, at = self.chosen, self.scroll_offset
        self.clear()
        for key, cells in rows:
            self.add_row(*cells, key=key)
        if chosen is not None and chosen in self.rows:
            self.move_cursor(row=self.get_row_index(chosen), scroll=False)
        self.scroll_to(at.x, at.y, animate=False)

    @property
    def chosen(self) -> str | None:
        """The key of the row at which the cursor stands; None where there is none."""
        if not self.row_count:
            return None
        return self.coordinate_to_cell_key(self.cursor_coordinate).row_key.value
