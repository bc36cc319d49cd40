//! `schemas/` holds what the program prints.

use k0smotron_fleet::api::file_schemas;

use crate::cli::{program, transcript};
use crate::support::generated::assert_current;

#[test]
fn the_schemas_of_fleet_files_are_those_of_the_types() {
    for (kind, name) in file_schemas::NAMES {
        assert_current(&format!("schemas/{name}"), &file_schemas::text(kind).unwrap());
    }
}

#[test]
fn the_schema_of_a_saved_plan_is_that_of_its_type() {
    assert_current(
        "schemas/saved-plan.json",
        &k0smotron_fleet::cli::commands::schema::text("SavedPlan").unwrap(),
    );
}

#[tokio::test]
async fn schema_prints_what_editors_read() {
    let output = program().run(&["schema", "clusterset"]).await;
    let schema: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!((output.code, &schema["title"]), (0, &"ClusterSet".into()));
    let output = program().run(&["schema", "ClusterSets"]).await;
    insta::assert_snapshot!(transcript(&output, &[]), @r"
    --- stderr
    error: there is no schema of `ClusterSets`
    hint: did you mean `ClusterSet`?
    --- exit 1
    ");
}
