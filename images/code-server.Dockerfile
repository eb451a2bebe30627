# The base of images with user code: Dagster and the code server, and pip for what the project needs.
ARG BASE=python:3.12-slim

FROM $BASE AS packages
COPY locked /wheels/locked
RUN python3 -m venv /opt/isthmus \
 && /opt/isthmus/bin/pip install --quiet --no-index --find-links /wheels/locked --no-deps --require-hashes \
    -r /wheels/locked/requirements.txt

FROM $BASE AS code-server
RUN groupadd --gid 10001 isthmus \
 && useradd --uid 10001 --gid isthmus --create-home --shell /bin/sh isthmus \
 && install --directory --owner=isthmus --group=isthmus /project /data
# The account's own, so that a project's `RUN pip install` works as it stands; containers have a read-only root.
COPY --from=packages --chown=10001:10001 /opt/isthmus /opt/isthmus
ENV PATH=/opt/isthmus/bin:$PATH PYTHONPATH=/project PYTHONUNBUFFERED=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /project
# Numbers, so that the engine and its clients need no password file to know that it is not root.
USER 10001:10001
COPY own /tmp/isthmus
RUN pip install --quiet --no-cache-dir --no-index --find-links /tmp/isthmus --no-deps -r /tmp/isthmus/requirements.txt
CMD ["isthmus-code-server", "--help"]
