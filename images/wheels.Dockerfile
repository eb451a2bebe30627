# A base with wheels in it: what builds on it installs from them, and asks no index.
ARG BASE
FROM $BASE
COPY wheels /wheels
ENV PIP_NO_INDEX=1 PIP_FIND_LINKS=/wheels
