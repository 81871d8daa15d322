# syntax=docker/dockerfile:1
# The image: Node, dist and the packages it needs at run time. Built and started by `npm run measure image`.
# Every RUN is on the machine that builds: the last stage only copies, so an image for another architecture needs no emulation.

# A tag moves, a digest does not. To pin what was reviewed, ask the registry once and pass it on:
#   docker buildx imagetools inspect node:24-slim --format '{{.Manifest.Digest}}'
#   docker build --build-arg NODE_IMAGE=docker.io/library/node:24-slim@sha256:<that> .
# The release pipeline must pass both; none stands here, because a digest that nothing renews is last year's Node.
ARG NODE_IMAGE=docker.io/library/node:24-slim
# The same for the machine that builds, where one name does not stand for both architectures.
ARG BUILD_IMAGE=${NODE_IMAGE}
# The Debian that this Node image is made of.
ARG BASE_IMAGE=docker.io/library/debian:bookworm-slim

# Compiles. Nothing of this stage but dist reaches the image.
FROM --platform=$BUILDPLATFORM ${BUILD_IMAGE} AS build
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

# The packages for run time alone, from the same lock: no compiler, no test runner, no types, and nothing that is made for one
# architecture. With them the list of what they are (CycloneDX), for scanners.
FROM --platform=$BUILDPLATFORM ${BUILD_IMAGE} AS modules
WORKDIR /build
COPY package.json package-lock.json .npmrc ./
RUN --mount=type=cache,target=/root/.npm npm ci --omit=dev --ignore-scripts --no-audit --no-fund
COPY scripts/sbom.mjs scripts/
RUN node scripts/sbom.mjs > sbom.cdx.json
# config/ is the one folder that the server may write, for runs without Redis (docs/operations.md). The command has both its
# names, so that what the documentation says after `npx` works in a container, too.
RUN mkdir bin writable && mkdir -m 700 writable/config \
 && ln -s /app/dist/src/cli/main.js bin/secure-mcp-server \
 && ln -s /app/dist/src/cli/main.js bin/secure-mcp

# Node itself, of the architecture that the image is for.
FROM ${NODE_IMAGE} AS node

FROM ${BASE_IMAGE}
ARG VERSION=0.0.0
ARG REVISION=unknown
# The registry of MCP servers takes an image as this server's only by the name that server.json has.
LABEL io.modelcontextprotocol.server.name="io.github.secure-mcp-server/secure-mcp-server" \
      org.opencontainers.image.source="https://github.com/secure-mcp-server/secure-mcp-server" \
      org.opencontainers.image.title="secure-mcp-server" \
      org.opencontainers.image.description="An MCP server that decides, for every call, who is asking, what they may use and how often." \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

# The program of Node without npm: the server never installs anything, so a thief in the container cannot either.
COPY --from=node /usr/local/bin/node /usr/local/bin/node
WORKDIR /app
# Owned by root: the process can read its program and never change it. Under Kubernetes the root is read-only.
COPY --from=modules /build/node_modules node_modules
COPY --from=modules /build/bin/ /usr/local/bin/
COPY --from=modules --chown=10001:10001 /build/writable/ ./
COPY --from=modules /build/sbom.cdx.json ./
COPY --from=build /build/dist dist
COPY package.json LICENSE ./

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
