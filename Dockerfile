# The celeriac command line in a small image. Tasks that run commands need what those commands need: build upon it.
FROM rust:1-slim-bookworm AS build
WORKDIR /source
COPY . .
RUN cargo build --release --locked --package celeriac --bin celeriac

FROM debian:bookworm-slim
RUN useradd --uid 10001 --create-home --home-dir /work celeriac
COPY --from=build /source/target/release/celeriac /usr/local/bin/celeriac
USER celeriac
# celeriac.toml is looked for here, and a SQLite store without a path is made here.
WORKDIR /work
# A worker that is told to stop waits for running jobs, 30 s unless set; give `docker stop` more time than that.
STOPSIGNAL SIGTERM
ENTRYPOINT ["celeriac"]
CMD ["worker"]
