# syntax=docker/dockerfile:1
# The image: Node, dist and the packages it needs at run time. Built and started by `npm run measure image`.

# A tag moves, a digest does not. To pin what was reviewed, ask the registry once and pass it on:
#   docker buildx imagetools inspect node:24-slim --format '{{.Manifest.Digest}}'
#   docker build --build-arg NODE_IMAGE=docker.io/library/node:24-slim@sha256:<that> .
# The release pipeline must pass it; none stands here, because a digest that nothing renews is last year's Node.
ARG NODE_IMAGE=docker.io/library/node:24-slim

# Compiles. Nothing of this stage but dist reaches the image.
FROM ${NODE_IMAGE} AS build
WORKDIR /build
COPY package.json package-lock.json .npmrc ./
# --ignore-scripts: no package runs code of its own while the image is made; none of ours needs to.
RUN --mount=type=cache,target=/root/.npm npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json ./
COPY scripts/build.mjs scripts/
COPY plugins plugins
COPY routes routes
COPY src src
RUN npm run build

# The packages for run time alone, from the same lock: no compiler, no test runner, no types.
FROM ${NODE_IMAGE} AS modules
WORKDIR /build
COPY package.json package-lock.json .npmrc ./
RUN --mount=type=cache,target=/root/.npm npm ci --omit=dev --ignore-scripts --no-audit --no-fund

FROM ${NODE_IMAGE}
ARG VERSION=0.0.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="secure-mcp-server" \
      org.opencontainers.image.description="An MCP server that decides, for every call, who is asking, what they may use and how often." \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

# The server never installs anything: without package managers a thief in the container cannot either,
# and scanners have nothing of theirs to report. config/ is the one folder it may write, for runs
# without Redis (docs/operations.md); under Kubernetes the root is read-only and nothing is written.
RUN rm -rf /usr/local/lib/node_modules /usr/local/bin/npm /usr/local/bin/npx /usr/local/bin/corepack \
           /usr/local/bin/yarn /usr/local/bin/yarnpkg /opt/yarn* \
 && mkdir -p /app/config && chown 10001:10001 /app/config && chmod 700 /app/config

WORKDIR /app
# Owned by root: the process can read its program and never change it.
COPY --from=modules /build/node_modules node_modules
COPY --from=build /build/dist dist
COPY package.json LICENSE ./
# By both names, so that what the documentation says after `npx` works in a container, too.
RUN ln -s /app/dist/src/cli/main.js /usr/local/bin/secure-mcp-server \
 && ln -s /app/dist/src/cli/main.js /usr/local/bin/secure-mcp

# By number, so that runAsNonRoot can be judged without looking into the image; 10001 is no account of any host.
USER 10001:10001

# Loopback inside a container reaches nobody; whoever publishes the port decides who does.
# MANAGEMENT_HOST stays on loopback until a deployment says otherwise (k8s/base/settings.env).
ENV HOST=0.0.0.0
EXPOSE 3000

# The server drains on SIGTERM (SHUTDOWN_GRACE_MS). Node itself is process 1: npm in between would swallow the signal.
STOPSIGNAL SIGTERM
CMD ["node", "dist/src/cli/main.js", "serve"]
# No HEALTHCHECK: /livez and /readyz are asked by whoever runs the container, and they decide different things.
