# Control plane, monitor and agent: one recipe, a target for each. The context is a folder that `make images` fills with
# wheels: nothing is downloaded in a build.
ARG BASE=python:3.12-slim

FROM $BASE AS packages
COPY locked /wheels/locked
RUN python3 -m venv /opt/isthmus \
 && /opt/isthmus/bin/pip install --quiet --no-index --find-links /wheels/locked --no-deps --require-hashes \
    -r /wheels/locked/requirements.txt
COPY own /wheels/own
# pip itself stays behind: what runs here installs nothing.
RUN /opt/isthmus/bin/pip install --quiet --no-index --find-links /wheels/own --no-deps -r /wheels/own/requirements.txt \
 && rm -rf /opt/isthmus/bin/pip* /opt/isthmus/lib/python3*/site-packages/pip* /opt/isthmus/lib/python3*/site-packages/setuptools* \
    /opt/isthmus/lib/python3*/site-packages/pkg_resources /opt/isthmus/lib/python3*/site-packages/_distutils_hack \
    /opt/isthmus/lib/python3*/site-packages/distutils-precedence.pth

FROM $BASE AS service
COPY --from=packages /opt/isthmus /opt/isthmus
ENV PATH=/opt/isthmus/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/var/lib/isthmus \
    ISTHMUS_PULSE_FILE=/tmp/isthmus.pulse
RUN groupadd --gid 10001 isthmus \
 && useradd --uid 10001 --gid isthmus --home-dir /var/lib/isthmus --shell /usr/sbin/nologin isthmus \
 && install --directory --owner=isthmus --group=isthmus --mode=0700 /var/lib/isthmus
WORKDIR /var/lib/isthmus
# Numbers, so that the engine and its clients need no password file to know that it is not root.
USER 10001:10001
# Every few seconds for as long as the service lives: two small programs, a few milliseconds, and no Python. Ten beats may
# be missed, as on machines that are busy.
HEALTHCHECK --interval=5s --timeout=10s --start-period=60s --retries=5 \
  CMD test -n "$(find "$ISTHMUS_PULSE_FILE" -newermt '-20 seconds' 2>/dev/null)" || { echo "no sign of life for 20 s"; exit 1; }

FROM service AS control-plane
ENV ISTHMUS_CONTROL_PLANE_LISTEN=0.0.0.0:7070
EXPOSE 7070
CMD ["isthmus-control-plane"]

FROM service AS monitor
CMD ["isthmus-monitor"]

FROM service AS agent
ENV ISTHMUS_AGENT_HOST=docker ISTHMUS_AGENT_DATA_DIR=/var/lib/isthmus
# Root, because the engine's socket is root's, and because code servers run under accounts of their images: their folders
# are handed over to them. Start it with all capabilities dropped but CHOWN, DAC_OVERRIDE, FOWNER; see compose.yaml.
USER 0:0
RUN chown root:root /var/lib/isthmus
VOLUME /var/lib/isthmus
CMD ["isthmus-agent"]
