"""Two repositories in one file, whose jobs share a name."""

import dagster as dg


@dg.op
def look(context: dg.OpExecutionContext) -> None:
    context.log.info(f"{context.run.tags.get('season')} in {context.repository_def.name}")


@dg.job(tags={"season": "spring"})
def looking() -> None:
    look()


@dg.job
def later() -> None:
    look()


@dg.repository
def meadows() -> list[dg.JobDefinition]:
    return [looking]


@dg.repository
def forests() -> list[dg.JobDefinition]:
    return [looking.with_hooks(set()), later]
