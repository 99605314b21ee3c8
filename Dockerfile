# Nothing but Python, the pinned packages and the exporter, for a user without rights, on a disk that may be read-only.
#   docker build --tag deliverability-exporter .
#   docker run --rm --read-only --cap-drop ALL --security-opt no-new-privileges deliverability-exporter demo

FROM python:3.11-slim-bookworm AS build
RUN python -m venv --without-pip /opt/deliverability-exporter
COPY requirements.txt /
RUN pip --python /opt/deliverability-exporter/bin/python install \
    --no-cache-dir --no-compile --require-hashes --requirement /requirements.txt
# Copied, not built: no build tool has to be fetched, and so every package that comes from outside is held by a hash.
COPY exporter /opt/deliverability-exporter/lib/python3.11/site-packages/exporter
COPY config.example.yaml /opt/deliverability-exporter/lib/python3.11/site-packages/exporter/data/
COPY LICENSE /opt/deliverability-exporter/
# Compiled once and believed, whatever time stamps a copy gives the files: a read-only disk takes no second try.
RUN python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/deliverability-exporter/lib \
    && printf '%s\n' '#!/opt/deliverability-exporter/bin/python' \
       'from exporter.__main__ import command' 'command()' \
       > /opt/deliverability-exporter/bin/deliverability-exporter \
    && chmod 755 /opt/deliverability-exporter/bin/deliverability-exporter \
    && mkdir /state

FROM python:3.11-slim-bookworm
LABEL org.opencontainers.image.title="deliverability-exporter" \
      org.opencontainers.image.description="Prometheus exporter: will receivers accept the mail that my domains and IPs send, and if not, why?" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="MIT"
# TMPDIR: the one place that can be written to on a read-only disk, with every engine.
ENV PATH="/opt/deliverability-exporter/bin:$PATH" \
    PYTHONUNBUFFERED=1 \
    TMPDIR=/dev/shm
COPY --from=build /opt/deliverability-exporter /opt/deliverability-exporter
# For --storage.path; a named volume that is mounted here is born with this owner.
COPY --from=build --chown=65532:65532 /state /var/lib/deliverability-exporter
# The base comes without compiled modules; this keeps those that the exporter uses, which saves each start.
RUN ["deliverability-exporter", "--version"]
USER 65532:65532
EXPOSE 10554
# http.client, since urllib would ask the proxy that the environment may name.
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 CMD ["python", "-I", "-S", "-c", "\
from http.client import HTTPConnection; \
door = HTTPConnection('127.0.0.1', 10554, timeout=4); \
door.request('GET', '/-/healthy'); \
raise SystemExit(door.getresponse().status != 200)"]
ENTRYPOINT ["deliverability-exporter"]
CMD ["--config.file=/etc/deliverability-exporter/config.yaml", "--storage.path=/var/lib/deliverability-exporter/state.sqlite"]
