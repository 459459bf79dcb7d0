//! Every engine, with settings under which a run takes some thousand calls.

/// A name, and a problem with the `[sampler]` for it.
pub struct Engine {
    pub name: &'static str,
    pub problem: &'static str,
    pub settings: &'static str,
}

pub const ENGINES: &[Engine] = &[
    Engine {
        name: "importance-nested",
        problem: "gauss3tut",
        settings: "method = \"importance-nested\"\nn_live = 200\nn_eff = 400\nlearn = 1",
    },
    Engine { name: "nested", problem: "gauss3tut", settings: "method = \"nested\"\nn_live = 100\nn_eff = 600" },
    Engine { name: "nested-walks", problem: "gauss3tut", settings: "method = \"nested\"\nn_live = 40\nmin_efficiency = 1" },
    Engine {
        // On a crescent, where its flow has something to learn. It is trained on some rank.
        name: "smc",
        problem: "rosen2",
        settings: "method = \"smc\"\nprecondition = \"maf\"\nn_active = 64\nn_prior = 256\nn_ladder = 128\nn_eff = 300\nn_evidence = 300",
    },
    Engine { name: "nuts", problem: "gauss3tut", settings: "method = \"nuts\"\nchains = 4\nwarmup = 40\nn_eff = 50" },
    Engine { name: "ensemble", problem: "gauss3tut", settings: "method = \"ensemble\"\nn_walkers = 16\nn_eff = 50\nn_times = 10" },
    Engine { name: "cmaes", problem: "gauss3tut", settings: "method = \"cmaes\"" },
    Engine { name: "lbfgs", problem: "gauss3tut", settings: "method = \"lbfgs\"\nn_starts = 256" },
    Engine { name: "nelder-mead", problem: "gauss3tut", settings: "method = \"nelder-mead\"" },
];
