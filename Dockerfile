# The gateway alone, as a user without rights: `docker build -t healthcare-exchange-gateway .`
# See README.md, "In containers".

FROM python:3.11-slim AS built
# a compiler for packages that have no wheel for the machine at hand
RUN apt-get update && apt-get install --yes --no-install-recommends g++ && rm -rf /var/lib/apt/lists/*
COPY requirements-run.lock /build/
RUN python -m venv /opt/gateway \
 && /opt/gateway/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes \
    -r /build/requirements-run.lock
COPY pyproject.toml README.md LICENSE /srv/gateway/
COPY gateway /srv/gateway/gateway
# editable, so that the program finds `rules/` and `specs/` beside itself
RUN /opt/gateway/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps --no-build-isolation \
    --editable /srv/gateway \
 && /opt/gateway/bin/python -m compileall -q /srv/gateway/gateway

FROM python:3.11-slim
RUN useradd --uid 10001 --user-group --home-dir /data --shell /usr/sbin/nologin gateway \
 && install --directory --owner gateway --group gateway --mode 0700 /data /certificates
COPY --from=built /opt/gateway /opt/gateway
COPY --from=built /srv/gateway /srv/gateway
COPY rules /srv/gateway/rules
COPY specs /srv/gateway/specs
ENV PATH=/opt/gateway/bin:$PATH PYTHONUNBUFFERED=1 GATEWAY_DATA=/data
WORKDIR /srv/gateway
USER gateway
VOLUME ["/data", "/certificates"]
EXPOSE 8443
# SIGTERM drains; what is in hand gets 20 s
STOPSIGNAL SIGTERM
ENTRYPOINT ["gateway"]
# plain HTTP is for loopback alone, so a container needs a certificate
CMD ["serve", "--host", "0.0.0.0", "--port", "8443"]
