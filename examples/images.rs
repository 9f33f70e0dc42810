//! A workflow of named steps: what is loaded is resized three times and looked at beside that, and published when all of it is there.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::collections::BTreeMap;

use celeriac::canvas::{Canvas, Graph, Takes};
use celeriac::{Client, TaskError, Tasks, Worker, task};
use serde_json::value::to_raw_value;

/// What a step answers that loads something: where it lies, and not the image itself.
#[task("images.load")]
async fn load(name: String) -> Result<String, TaskError> {
    Ok(format!("/tmp/{name}"))
}

/// The path comes from the step before, the width is its own.
#[task("images.resize", timeout = "1m")]
async fn resize(path: String, width: u32) -> Result<String, TaskError> {
    Ok(format!("{path}@{width}"))
}

#[task("images.metadata")]
async fn metadata(path: String) -> Result<BTreeMap<String, String>, TaskError> {
    Ok(BTreeMap::from([("source".into(), path), ("camera".into(), "Rolleiflex".into())]))
}

/// Its parameters are called like the steps that it waits for.
#[task("images.publish")]
async fn publish(
    small: String,
    medium: String,
    large: String,
    metadata: BTreeMap<String, String>,
) -> Result<String, TaskError> {
    Ok(format!("{small}, {medium}, {large} by {}", metadata["camera"]))
}

/// Steps go by their names here: what is given to whom is checked when the workflow begins, and not by the compiler.
fn workflow(name: &str) -> anyhow::Result<Graph> {
    let load = Canvas::step("images.load").args(to_raw_value(&[name])?);
    let mut graph = Graph::new().part("load", load);
    for (size, width) in [("small", 200), ("medium", 800), ("large", 2000)] {
        let resize = Canvas::step("images.resize").args(to_raw_value(&[width])?);
        graph = graph.part_after(size, ["load"], resize.takes(Takes::Result));
    }
    let metadata = Canvas::step("images.metadata").takes(Takes::Result);
    let publish = Canvas::step("images.publish").takes(Takes::Results);
    graph = graph.part_after("metadata", ["load"], metadata);
    Ok(graph.part_after("publish", ["small", "medium", "large", "metadata"], publish))
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let store = std::env::args().nth(1).unwrap_or("sqlite::memory:".into());
    let client = Client::connect(&store).await?;
    let album = client.run(workflow("fjord.jpg")?).returns::<BTreeMap<String, String>>().await?;
    let tasks = Tasks::new().task::<load>().task::<resize>().task::<metadata>().task::<publish>();
    Worker::builder(&client, tasks).burst(true).build()?.run().await?;
    for (step, result) in album.result().await? {
        println!("{step}: {result}");
    }
    if let Some(sight) = album.sight().await? {
        println!("{} steps, {}", sight.steps().count(), sight.status);
    }
    Ok(())
}
