//! The job file: what is accepted, what it means, and what is said about mistakes.

use fitjob::job::{self, Job, JobError, Source};

fn source(text: &str) -> Source {
    Source { name: "fit.toml".into(), text: text.into(), base: "/nowhere".into(), overrides: Vec::new(), json: false }
}

fn job_of(source: Source) -> Result<Job, JobError> {
    job::resolve(&job::load(source)?)
}

fn refusal(text: &str) -> String {
    match job_of(source(text)) {
        Ok(_) => panic!("this job was accepted:\n{text}"),
        Err(error) => { println!("{}", error.report(false)); error.to_string() }
    }
}

#[test]
fn wip() {
    for t in ["seed = 1\n[model]\nkind = \"problem\"\nname = \"gauss3tut\"\n[parameters]\nx1 = { prior = \"normal\", mean = 1, sdd = 2 }\nx2 = { prior = \"unifrm\", min = 1, max = 0 }\nx3 = { prior = \"uniform\", min = 1, max = 0 }\nx4 = \"= a + b\"\nx5 = \"= x5 + 1\"\n[sampler]\nn_live = \"abc\"\nn_eff = 1e4\nn_batch = 64.0\nnlive=3\n[samplers]\nx=1\n",
      "seed = 1\n[model]\nkind = \"problem\"\nname = \"gauss3tut\"\n[parameters]\nx1 = 3\nx7 = \"= x9\"\n",
      "seed = 1\n[model]\nkind = \"problem\"\nname = \"gauss3tt\"\n[parameters]\nx1 = 3\nx7 = \"= x9\"\n",
      "seed = = 1\n[model\n", ""] {
        refusal(t);
    }
    match job_of(source("[model]\nkind=\"problem\"\nname=\"gauss3tut\"")) { Ok(j) => println!("{}\n{}", j.resolved_toml, j.digest), Err(e) => println!("{}", e.report(true)) }
    match job_of(Source::embedded(vec![])) { Ok(j) => println!("{}\n{}", j.resolved_toml, j.digest), Err(e) => println!("{}", e.report(true)) }
}
