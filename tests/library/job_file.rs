//! The job file: what is accepted, what it means, and what is said about mistakes.

use fitjob::job::{self, Job, JobError, Source};
use std::path::Path;

fn source(text: &str) -> Source {
    let json = text.trim_start().starts_with('{');
    Source { name: "fit.toml".into(), text: text.into(), base: "/nowhere".into(), overrides: Vec::new(), json }
}

fn with(text: &str, overrides: &[&str]) -> Source {
    Source { overrides: overrides.iter().map(|s| s.to_string()).collect(), ..source(text) }
}

fn resolve(source: Source) -> Result<Job, JobError> {
    job::resolve(&job::load(source)?)
}

fn job_of(source: Source) -> Job {
    resolve(source).unwrap_or_else(|error| panic!("{}", error.report(false)))
}

fn refusal(source: Source) -> JobError {
    match resolve(source) {
        Ok(job) => panic!("this job was accepted:\n{}", job.resolved_toml),
        Err(error) => error,
    }
}

/// The mistakes found, one a line, must be exactly these.
fn refused(text: &str, expected: &[&str]) {
    let found = refusal(source(text)).to_string();
    assert_eq!(found.lines().collect::<Vec<_>>(), expected, "\nfound:\n{found}\n");
}

const PROBLEM: &str = "[model]\nkind = \"problem\"\nname = \"gauss3tut\"\n";

/// A curve with parameters a, b and c; its [parameters] start at line 9.
fn curve(parameters: &str) -> String {
    format!(
        "[model]\nkind = \"curve\"\ny = \"y\"\nformula = \"a*x + b + c\"\nsigma = 1\n[model.data]\nx = [1, 2, 3]\ny = [1, 2, 4]\n[parameters]\n{parameters}"
    )
}

const A_AND_C: &str = "a = { prior = \"normal\", mean = 0, sd = 1 }\nc = 1\n";

// ---- what is accepted

#[test]
fn the_built_in_job_has_the_parameters_of_the_case_study_in_their_order() {
    let job = job_of(Source::embedded(vec![]));
    assert_eq!(job.space.names(), ["alpha", "beta", "gamma", "delta", "hare0", "lynx0", "sigma_hare", "sigma_lynx"]);
    assert_eq!(job.space.n_free(), 8);
    assert_eq!(job.name, "lynx_hare");
    let mut theta = vec![0.0; 8];
    job.space.transform(&[0.5; 8], &mut theta);
    let close = |i: usize, value: f64| assert!((theta[i] / value - 1.0).abs() < 1e-12, "theta[{i}] = {}", theta[i]);
    // The median of N(1, .5) cut at 0 is 1.01425846...; a log-normal's median is exp(mu).
    close(0, 1.014_258_463_295_459);
    close(4, 10.0);
    close(6, (-1f64).exp());
}

#[test]
fn parameters_keep_the_order_of_the_file() {
    let job = job_of(source(&curve("c = 1\na = { prior = \"uniform\", min = 0, max = 1 }\nb = \"= 2*a\"\n")));
    assert_eq!(job.space.names(), ["c", "a", "b"]);
    assert_eq!(job.space.free(), [1]);
    let mut theta = [0.0; 3];
    job.space.transform(&[0.25], &mut theta);
    assert_eq!(theta, [1.0, 0.25, 0.5]);
}

#[test]
fn ties_and_derived_quantities_are_evaluated_in_the_order_they_need() {
    let parameters =
        "c = \"= b + 1\"\nb = \"= 2*a\"\na = { prior = \"uniform\", min = 0, max = 1 }\n[derived]\nlast = \"first*2\"\nfirst = \"a + c\"\n";
    let job = job_of(source(&curve(parameters)));
    let mut theta = [0.0; 3];
    job.space.transform(&[0.5], &mut theta);
    assert_eq!(theta, [2.0, 1.0, 0.5]);
    let mut derived = [0.0; 2];
    job.space.derived(&theta, &mut derived);
    assert_eq!(derived, [5.0, 2.5]);
    assert_eq!(job.space.derived_names(), ["last", "first"]);
}

#[test]
fn the_log_prior_is_that_of_the_free_parameters() {
    let job = job_of(source(&curve("a = { prior = \"uniform\", min = 0, max = 4 }\nb = { prior = \"exponential\", rate = 2 }\nc = 7\n")));
    let found = job.space.log_prior(&[1.0, 0.5, 7.0]);
    assert!((found - (0.25f64.ln() + 2f64.ln() - 1.0)).abs() < 1e-14);
    assert_eq!(job.space.log_prior(&[5.0, 0.5, 7.0]), f64::NEG_INFINITY);
}

#[test]
fn a_problem_brings_its_own_box() {
    let job = job_of(source(PROBLEM));
    assert_eq!(job.space.names(), ["x1", "x2", "x3"]);
    assert!(job.resolved_toml.contains("x1 = { prior = \"uniform\""), "{}", job.resolved_toml);
}

#[test]
fn the_same_job_in_json_is_the_same_job() {
    let toml = job_of(source(&curve("a = { prior = \"normal\", mean = 0, sd = 1.5 }\nb = \"= a\"\nc = 1\n")));
    let json = r#"{ "model": {"kind": "curve", "y": "y", "formula": "a*x + b + c", "sigma": 1,
        "data": {"x": [1, 2, 3], "y": [1, 2, 4]}},
        "parameters": {"a": {"prior": "normal", "mean": 0, "sd": 15e-1}, "b": "= a", "c": 1.0} }"#;
    assert_eq!(job_of(source(json)).digest, toml.digest);
}

#[test]
fn periodic_parameters_are_told_by_their_place_among_the_free_ones() {
    let job = job_of(source(&curve("c = 1\na = 2\nb = { prior = \"uniform\", min = 0, max = 1, periodic = true }\n")));
    assert_eq!(job.space.periodic(), [0]);
}

#[test]
fn a_prior_may_be_called_by_another_of_its_names() {
    let job = |prior: &str| job_of(source(&curve(&format!("a = {{ prior = \"{prior}\", mean = 0, sd = 1 }}\nb = 1\nc = 1\n"))));
    assert_eq!(job("normal").digest, job("gaussian").digest);
    assert_eq!(job("normal").digest, job("truncated-normal").digest);
}

// ---- overrides

#[test]
fn overrides_change_add_and_fix() {
    let text = curve("a = { prior = \"normal\", mean = 0, sd = 1 }\nb = { prior = \"normal\", mean = 0, sd = 1 }\nc = 1\n");
    let overrides = ["sampler.n_live=123", "parameters.b=2.5", "parameters.a.max = 3", "run.on_error=reject", "seed=9"];
    let job = job_of(with(&text, &overrides));
    assert_eq!(job.space.free(), [0]);
    assert_eq!(job.seed, 9);
    for line in ["n_live = 123", "b = 2.5", "max = 3.0", "on_error = \"reject\""] {
        assert!(job.resolved_toml.contains(line), "no {line} in\n{}", job.resolved_toml);
    }
}

#[test]
fn a_mistake_in_an_override_is_shown_in_the_override() {
    let error = refusal(with(PROBLEM, &["sampler.n_liv=5"]));
    assert_eq!(error.to_string(), "--set:1:1: unknown key `n_liv` (did you mean `n_live`?)");
    let error = refusal(with(PROBLEM, &["sampler.n_live"]));
    assert!(error.to_string().starts_with("--set:1:1: an override is written key=value"), "{error}");
    let error = refusal(with(PROBLEM, &["model.name.x=1"]));
    assert!(error.to_string().contains("`model.name` is a value"), "{error}");
    let error = refusal(with(PROBLEM, &["sampler.n_live=many"]));
    assert_eq!(error.to_string(), "--set:1:16: a whole number from 0 up is expected, this is the text \"many\"");
}

#[test]
fn bare_words_are_text() {
    let job = job_of(with(PROBLEM, &["model.name=eggbox2"]));
    assert_eq!(job.space.names(), ["x1", "x2"]);
}

// ---- digest and resolved text

#[test]
fn the_digest_does_not_see_how_the_job_is_run_or_where_results_go() {
    let plain = job_of(source(PROBLEM)).digest;
    let moved = job_of(with(PROBLEM, &["run.ncores=7", "run.dispatch=static", "output.dir=elsewhere"])).digest;
    assert_eq!(plain, moved);
}

#[test]
fn the_digest_sees_model_parameters_settings_and_seed() {
    let text = curve(&format!("{A_AND_C}b = 1\n"));
    let plain = job_of(source(&text)).digest;
    for change in
        ["seed=1", "sampler.n_live=1999", "parameters.c=1.0000000000000002", "parameters.a.sd=2", "model.sigma=2", "model.data.y=[1,2,5]"]
    {
        assert_ne!(job_of(with(&text, &[change])).digest, plain, "{change} left the digest as it was");
    }
}

#[test]
fn the_resolved_text_asks_the_same_question() {
    let texts = [PROBLEM.to_string(), curve(&format!("{A_AND_C}b = \"= a*2\"\n[derived]\nd = \"a^2\"\n[model.delay]\nms = 0.1\n"))];
    let jobs = texts.iter().map(|text| job_of(source(text))).chain([job_of(Source::embedded(vec!["seed=5".into()]))]);
    for job in jobs {
        let again = job_of(source(&job.resolved_toml));
        assert_eq!(again.digest, job.digest, "\n{}", job.resolved_toml);
        let body = |job: &Job| job.resolved_toml.lines().skip(1).map(String::from).collect::<Vec<_>>();
        assert_eq!(body(&again), body(&job));
    }
}

#[test]
fn files_are_found_from_the_job_and_travel_in_the_package() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("data")).unwrap();
    std::fs::write(dir.path().join("data/line.csv"), "x,y\n1,1\n2,2\n3,4\n").unwrap();
    let text = curve(&format!("{A_AND_C}b = 1\n")).replace("[model.data]\nx = [1, 2, 3]\ny = [1, 2, 4]\n", "data = \"data/line.csv\"\n");
    let path = dir.path().join("fit.toml");
    std::fs::write(&path, text).unwrap();
    let package = job::load(Source::read(&path, vec![]).unwrap()).unwrap();
    drop(dir); // other ranks see no file
    let bytes = serde_json::to_vec(&package).unwrap();
    let there = job::resolve(&serde_json::from_slice(&bytes).unwrap()).unwrap();
    assert!(there.resolved_toml.contains("y = [1.0, 2.0, 4.0]"), "{}", there.resolved_toml);
    assert_eq!(job_of(source(&there.resolved_toml)).resolved_toml.lines().count(), there.resolved_toml.lines().count());
}

// ---- mistakes

#[test]
fn an_unknown_key_is_shown_with_the_nearest_known_one() {
    refused(
        &curve("a = { prior = \"normal\", mean = 0, sdd = 1, sd = 1 }\nb = 1\nc = 1\n[sampler]\nnlive = 5\n[samplr]\n"),
        &[
            "fit.toml:10:35: unknown key `sdd` (did you mean `sd`?)",
            "fit.toml:14:1: unknown key `nlive` (did you mean `n_live`?)",
            "fit.toml:15:2: unknown section or key `samplr` (did you mean `sampler`?)",
        ],
    );
}

#[test]
fn a_wrong_type_is_shown_at_the_value() {
    refused(
        &format!("seed = \"one\"\n{PROBLEM}[sampler]\nn_live = \"many\"\nn_batch = 64.0\nn_eff = true\n"),
        &[
            "fit.toml:1:8: the seed must be a whole number from 0 up",
            "fit.toml:6:10: a whole number from 0 up is expected, this is the text \"many\"",
            "fit.toml:7:11: a whole number from 0 up is expected, this is the number `64.0` (write 64)",
            "fit.toml:8:9: a number is expected, this is `true`",
        ],
    );
}

#[test]
fn a_missing_key_is_shown_at_its_table() {
    refused(
        &curve("a = { prior = \"normal\", mean = 0 }\nb = { mean = 1 }\nc = 1\n"),
        &[
            "fit.toml:10:1: `sd` is missing",
            "fit.toml:11:1: `prior` is missing (prior = one of uniform, log-uniform, normal, half-normal, log-normal, split-normal, cauchy, \
             half-cauchy, student-t, beta, gamma, exponential, power-law, log-power-law)",
        ],
    );
}

#[test]
fn an_unknown_prior_problem_kind_or_method_is_shown_with_the_nearest() {
    refused(
        &format!(
            "{PROBLEM}[parameters]\nx1 = {{ prior = \"unifrm\", min = 0, max = 1 }}\nx2 = 0\nx3 = 0\n[sampler]\nmethod = \"nautilis\"\n"
        ),
        &[
            "fit.toml:5:16: unknown prior `unifrm` (did you mean `uniform`?)",
            "fit.toml:9:10: unknown method `nautilis` (did you mean `nautilus`?)",
        ],
    );
    refused("[model]\nkind = \"curv\"\n", &["fit.toml:2:8: unknown kind `curv` (did you mean `curve`?)"]);
    let error = refusal(source("[model]\nkind = \"problem\"\nname = \"gaus3tut\"\n")).to_string();
    assert!(error.starts_with("fit.toml:3:8: unknown problem \"gaus3tut\" (did you mean \"gauss3tut\"?"), "{error}");
}

#[test]
fn an_impossible_prior_is_shown_at_the_key_to_blame() {
    refused(
        &curve(
            "a = { prior = \"uniform\", min = 2, max = 1 }\nb = { prior = \"normal\", mean = 0, sd = -1 }\nc = { prior = \"normal\", mean = 0, sd = 1, min = 50 }\n",
        ),
        &[
            "fit.toml:10:41: max = 1 must be greater than min = 2",
            "fit.toml:11:40: sd = -1 must be greater than zero",
            "fit.toml:12:49: the prior has no probability between 50 and inf",
        ],
    );
}

#[test]
fn a_tie_to_an_unknown_parameter_is_refused_with_its_line() {
    refused(&curve(&format!("{A_AND_C}b = \"= 2*aa + 1\"\n")), &["fit.toml:12:10: unknown name `aa`; did you mean `a`?"]);
}

#[test]
fn a_circle_of_ties_is_shown() {
    let error = refusal(source(&curve("a = \"= b\"\nb = \"= c + 1\"\nc = \"= a\"\n"))).to_string();
    assert!(error.contains("fit.toml:10:5: these expressions go round in a circle: a -> b -> c -> a"), "{error}");
}

#[test]
fn a_broken_expression_is_underlined_inside_its_text() {
    let error = refusal(source(&curve(&format!("{A_AND_C}b = \"= 2*(a + \"\n"))));
    assert!(error.to_string().starts_with("fit.toml:12:"), "{error}");
    refused(&curve(&format!("{A_AND_C}b = \"a\"\n")), &["fit.toml:12:5: a tie starts with `=` (write \"= a\")"]);
}

#[test]
fn a_parameter_the_model_needs_and_one_it_does_not_know_are_told() {
    refused(
        &curve(&format!("{A_AND_C}bb = 1\n")),
        &[
            "fit.toml:9:2: the model needs a parameter `b`, which is not among [parameters] (did you mean `bb`?)",
            "fit.toml:12:1: the parameter `bb` is not used: not by the model, a tie or a derived quantity (did you mean `b`?)",
        ],
    );
}

#[test]
fn a_misspelt_input_of_the_equations_is_not_silently_left_at_its_default() {
    let error = refusal(Source::embedded(vec!["parameters.alhpa=1".into()]));
    assert!(error.to_string().starts_with("--set:1:1: the parameter `alhpa` is not used"), "{error}");
}

#[test]
fn a_derived_quantity_cannot_have_the_name_of_a_parameter() {
    refused(
        &curve(&format!("{A_AND_C}b = 1\n[derived]\na = \"b\"\n")),
        &["fit.toml:14:1: `a` is a parameter already: a derived quantity needs a name of its own"],
    );
}

#[test]
fn a_mistake_the_model_finds_is_shown_at_its_key() {
    let text = curve(&format!("{A_AND_C}b = 1\n")).replace("y = \"y\"", "y = \"yy\"");
    let error = refusal(source(&text)).to_string();
    assert!(error.starts_with("fit.toml:3:5: "), "{error}");
    let text = curve(&format!("{A_AND_C}b = 1\n")).replace("a*x + b + c", "a*x + b + c*");
    let error = refusal(source(&text)).to_string();
    assert!(error.starts_with("fit.toml:4:2"), "{error}");
}

#[test]
fn a_missing_file_is_shown_at_the_key_that_names_it() {
    let text = "[model]\nkind = \"curve\"\ndata = \"no/such.csv\"\ny = \"y\"\nformula = \"a\"\nsigma = 1\n[parameters]\na = { prior = \"normal\", mean = 0, sd = 1 }\n";
    let error = refusal(source(text)).to_string();
    assert!(error.starts_with("fit.toml:3:8: /nowhere/no/such.csv"), "{error}");
}

#[test]
fn a_missing_job_file_is_told_by_name() {
    let error = Source::read(Path::new("no_such_job.toml"), vec![]).unwrap_err().to_string();
    assert!(error.starts_with("the job file no_such_job.toml cannot be read"), "{error}");
}

#[test]
fn settings_that_cannot_work_are_refused_before_the_run() {
    let error = refusal(source(&format!("{PROBLEM}[sampler]\nn_live = 3\n"))).to_string();
    assert!(error.starts_with("fit.toml:5:10: [sampler] n_live = 3 cannot work"), "{error}");
    let error = refusal(source(&format!("{PROBLEM}[parameters]\nx1 = 1\nx2 = 1\nx3 = 1\n"))).to_string();
    assert!(error.starts_with("fit.toml:4:2: no parameter is free"), "{error}");
}

#[test]
fn syntax_errors_are_all_told_in_toml_and_in_json() {
    let error = refusal(source("seed = = 1\n[model\n"));
    assert!(error.mistakes().len() >= 2, "{error}");
    assert!(error.to_string().starts_with("fit.toml:1:8: "), "{error}");
    let error = refusal(source("{\n  \"seed\": 1,\n  \"model\": {]\n}\n")).to_string();
    assert!(error.starts_with("fit.toml:3:13: "), "{error}");
    let error = refusal(source("{ \"seed\": null }")).to_string();
    assert!(error.contains("fit.toml:1:11: null has no meaning"), "{error}");
}

#[test]
fn a_mistake_in_json_has_its_line_too() {
    let error =
        refusal(source("{\n \"model\": {\"kind\": \"problem\", \"name\": \"gauss3tut\"},\n \"sampler\": {\"nlive\": 3}\n}")).to_string();
    assert_eq!(error, "fit.toml:3:14: unknown key `nlive` (did you mean `n_live`?)");
}

#[test]
fn the_report_for_a_log_is_plain_ascii_with_the_line_underlined() {
    let report = refusal(source(&format!("{PROBLEM}[sampler]\nnlive = 5\n"))).report(false);
    let expected = "  x unknown key `nlive`\n   ,-[fit.toml:5:1]\n 4 | [sampler]\n 5 | nlive = 5\n   : ^^|^^\n   :   `-- not known here\n   `----\n  help: did you mean `n_live`?\n\n";
    assert_eq!(report, expected);
    assert!(report.is_ascii());
}

// ---- docs and schema

/// The fenced TOML blocks of the documentation.
fn examples() -> Vec<String> {
    let text = include_str!("../../docs/job-file.md");
    text.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).map(String::from).collect()
}

#[test]
fn every_job_in_the_documentation_is_a_valid_job() {
    assert!(examples().len() >= 6);
    for example in examples() {
        if let Err(error) = resolve(source(&example)) {
            panic!("{example}\n{}", error.report(false));
        }
    }
}

#[test]
fn every_prior_in_the_documentation_is_possible_and_none_is_left_out() {
    let text = include_str!("../../docs/job-file.md");
    let cells: Vec<&str> = text.lines().filter(|l| l.starts_with("| `{ prior")).filter_map(|l| l.split('`').nth(1)).collect();
    for cell in &cells {
        let job = resolve(source(&curve(&format!("a = {cell}\nb = 1\nc = 1\n"))));
        assert!(job.is_ok(), "{cell}: {}", job.err().unwrap().report(false));
    }
    for (kind, _) in fitjob::prior::KINDS {
        assert!(cells.iter().any(|cell| cell.contains(&format!("\"{kind}\""))), "{kind} is not documented");
    }
}

#[test]
fn every_key_of_the_schema_is_documented() {
    let schema: serde_json::Value = serde_json::from_str(&job::schema::text()).unwrap();
    let docs = include_str!("../../docs/job-file.md");
    for section in ["Model", "Prior", "RunSpec", "OutputSpec", "DelaySpec"] {
        let mut keys = Vec::new();
        property_names(&schema["$defs"][section], &mut keys);
        assert!(!keys.is_empty(), "no schema of {section}");
        for key in keys {
            let known = docs.contains(&format!("`{key}`")) || docs.contains(&format!("{key} = ")) || docs.contains(&format!("model.{key}"));
            assert!(known, "{section}.{key} is not in docs/job-file.md");
        }
    }
}

fn property_names(schema: &serde_json::Value, names: &mut Vec<String>) {
    match schema {
        serde_json::Value::Object(map) => {
            if let Some(serde_json::Value::Object(properties)) = map.get("properties") {
                names.extend(properties.keys().cloned());
            }
            map.values().for_each(|value| property_names(value, names));
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| property_names(item, names)),
        _ => {}
    }
}
