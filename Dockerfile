# The server alone: one binary, which holds its page.
FROM rust:1.95-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends gcc g++ libc6-dev && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN cargo build --release --locked

FROM debian:stable-slim
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home chinwag
COPY --from=build /src/target/release/chinwag /usr/local/bin/chinwag
USER chinwag
EXPOSE 8080
ENTRYPOINT ["chinwag"]
