"""Definitions put together from several, with resources of each."""

import dagster as dg


class Word(dg.ConfigurableResource):
    text: str


@dg.asset
def first(word: Word):
    return word.text


@dg.op
def says(context: dg.OpExecutionContext, number: dg.ResourceParam[int]):
    context.log.info(f"{number}")


@dg.job
def a_job():
    says()


@dg.asset
def second(context: dg.AssetExecutionContext, first):
    context.log.info(first)


defs = dg.Definitions.merge(
    dg.Definitions(assets=[first], resources={"word": Word(text="merged")}),
    dg.Definitions(jobs=[a_job], resources={"number": dg.ResourceDefinition.hardcoded_resource(3)}),
    dg.Definitions(assets=[second], executor=dg.in_process_executor),
)
