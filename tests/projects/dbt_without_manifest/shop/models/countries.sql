{{ config(materialized="table") }}
select country, sum(amount) as amount from {{ ref("orders") }} group by country
