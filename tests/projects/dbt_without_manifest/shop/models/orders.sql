select id, upper(country) as country, amount from {{ ref("raw_orders") }}
