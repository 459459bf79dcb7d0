//! The engines by name: adding one is a line in the list below and a folder beside this file.

use schemars::{JsonSchema, SchemaGenerator};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::fmt::Display;

use super::{Problem, Sampler, SamplerError, cmaes, ensemble, importance_nested, lbfgs, nelder_mead, nested, nuts, saved, smc};

/// A sampler that jobs can name.
pub trait Engine: Sampler + Serialize + DeserializeOwned + Sized + 'static {
    type Settings: EngineSettings;

    /// # Errors
    /// A setting that cannot work, by name, with what it must be.
    fn start(settings: Self::Settings, seed: u64, problem: &Problem) -> Result<Self, SamplerError>;
}

/// What the posterior of an engine is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gives {
    /// A weighted sample, and log Z.
    Evidence,
    /// A sample without log Z.
    Sample,
    /// The best point; no sample whose weights mean anything.
    Optimum,
}

/// The `[sampler]` section of an engine.
pub trait EngineSettings: Default + Clone + PartialEq + Serialize + DeserializeOwned + JsonSchema {
    const GIVES: Gives = Gives::Evidence;

    /// What is not typed when the engine is asked for by one of its other names.
    fn called(_name: &str) -> Self {
        Self::default()
    }

    /// # Errors
    /// "[sampler] key = value cannot work: it must be ..." for a problem of `n_dim` free parameters.
    fn check(&self, n_dim: usize) -> Result<(), SamplerError>;

    /// The same with all targets ([`EngineSpec::TARGETS`]) at their defaults: what stays the same when a run is extended.
    fn without_targets(&self) -> Self;

    /// Likelihood calls that are under way at the same time for most of a run: more cores than this would wait.
    fn width(&self, problem: &Problem) -> usize;

    /// The setting that gives it more width.
    const WIDENED_BY: &str;

    /// Whether calls should give d log L / du too, where the model can ([`crate::task::Answer::gradient`]).
    fn wants_gradient(&self) -> bool {
        false
    }
}

/// Refusal of a setting, by name.
pub fn refuse<T>(key: &str, value: impl Display, need: impl Display) -> Result<T, SamplerError> {
    Err(SamplerError(format!("[sampler] {key} = {value} cannot work: it must be {need}")))
}

/// Refusal of a job in which nothing is free.
pub fn needs_parameters(n_dim: usize) -> Result<(), SamplerError> {
    match n_dim {
        0 => Err(SamplerError("no parameter is free: give at least one a prior in [parameters]".into())),
        _ => Ok(()),
    }
}

macro_rules! engines {
    ($($variant:ident, $module:ident::$engine:ident, $name:literal, [$($alias:literal),*], $purpose:literal;)*) => {
        /// Which engine, and its settings.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        pub enum EngineSpec { $($variant($module::Settings)),* }

        /// Of each engine: its own name, the names it also answers to, and what it is for.
        pub const METHODS: &[Method] = &[$(
            Method { name: $name, aliases: &[$($alias),*], purpose: $purpose, gives: <$module::Settings as EngineSettings>::GIVES }
        ),*];

        impl EngineSpec {
            /// The engine's own name.
            pub fn method(&self) -> &'static str {
                match self { $(EngineSpec::$variant(_) => $name),* }
            }

            pub fn gives(&self) -> Gives {
                match self { $(EngineSpec::$variant(_) => <$module::Settings as EngineSettings>::GIVES),* }
            }

            pub fn check(&self, n_dim: usize) -> Result<(), SamplerError> {
                match self { $(EngineSpec::$variant(settings) => settings.check(n_dim)),* }
            }

            pub fn without_targets(&self) -> EngineSpec {
                match self { $(EngineSpec::$variant(settings) => EngineSpec::$variant(settings.without_targets())),* }
            }

            pub fn width(&self, problem: &Problem) -> usize {
                match self { $(EngineSpec::$variant(settings) => settings.width(problem)),* }
            }

            /// The setting that gives it more width.
            pub fn widened_by(&self) -> &'static str {
                match self { $(EngineSpec::$variant(_) => <$module::Settings as EngineSettings>::WIDENED_BY),* }
            }

            pub fn wants_gradient(&self) -> bool {
                match self { $(EngineSpec::$variant(settings) => settings.wants_gradient()),* }
            }

            /// The settings as a table, every key with its value.
            pub fn table(&self) -> Result<toml::Table, toml::ser::Error> {
                match self { $(EngineSpec::$variant(settings) => toml::Table::try_from(settings)),* }
            }

            /// What is not typed when an engine is asked for by this name. None: no engine is called so.
            pub fn called(name: &str) -> Option<EngineSpec> {
                match canonical(name)? { $($name => Some(EngineSpec::$variant($module::Settings::called(name))),)* _ => None }
            }

            /// The same, with `changes` in place of what they name.
            ///
            /// # Errors
            /// A name that no engine has, or a setting that cannot be read.
            pub fn changed(name: &str, changes: toml::Table) -> Result<EngineSpec, SamplerError> {
                let preset = EngineSpec::called(name).ok_or_else(|| SamplerError(format!("no engine is called {name}")))?;
                let mut table = preset.table().expect("an engine's defaults can be written");
                table.extend(changes);
                EngineSpec::read(preset.method(), toml::Value::Table(table)).map_err(|e| SamplerError(e.to_string()))
            }

            /// Reads the settings of the engine with this own name.
            pub fn read<'de, D: serde::Deserializer<'de>>(name: &str, from: D) -> Result<EngineSpec, D::Error> {
                match name {
                    $($name => $module::Settings::deserialize(from).map(EngineSpec::$variant),)*
                    _ => Err(serde::de::Error::custom(format!("no engine is called {name}"))),
                }
            }

            /// JSON schema of the settings of the engine with this own name.
            pub fn schema(name: &str, generator: &mut SchemaGenerator) -> Option<serde_json::Value> {
                match name { $($name => Some($module::Settings::json_schema(generator).to_value()),)* _ => None }
            }
        }

        /// An engine for a problem.
        ///
        /// # Errors
        /// A setting that cannot work, by name, with what it must be.
        pub fn build(spec: &EngineSpec, seed: u64, problem: &Problem) -> Result<Box<dyn Sampler>, SamplerError> {
            match spec { $(EngineSpec::$variant(settings) => Ok(Box::new($module::$engine::start(settings.clone(), seed, problem)?))),* }
        }

        /// The sampler whose state was saved, by its engine's own name.
        ///
        /// # Errors
        /// A state that this build cannot read, and why.
        pub fn restore(method: &str, state: &[u8]) -> Result<Box<dyn Sampler>, SamplerError> {
            match method {
                $($name => Ok(Box::new(saved::read::<$module::$engine>(state)?)),)*
                _ => Err(SamplerError(format!("the saved run used the method {method}, which this build of fitjob does not have"))),
            }
        }
    };
}

engines! {
    ImportanceNested, importance_nested::ImportanceNested, "importance-nested", ["nautilus", "importance_nested"],
        "posterior and log Z with the fewest calls, up to about 30 parameters; the default";
    Nuts, nuts::Nuts, "nuts", ["numpyro"],
        "posterior (no log Z) of smooth likelihoods in any number of parameters, best with gradients: Hamiltonian chains";
    Nested, nested::Nested, "nested", ["dynesty", "ultranest", "polychord"],
        "posterior and log Z by live points that climb, static or dynamic: robust with many modes and odd shapes";
    Smc, smc::Smc, "smc", ["pocomc"],
        "posterior and log Z by walkers that cool down together; several humps, hundreds of calls at a time";
    Ensemble, ensemble::Ensemble, "ensemble", ["emcee"],
        "posterior of one connected peak by walkers, also where it is long and thin; no log Z";
    Cmaes, cmaes::Cmaes, "cmaes", ["cma-es"],
        "the best point, where peaks are many or ridges narrow: searches of growing population side by side; covariance there";
    Lbfgs, lbfgs::Lbfgs, "lbfgs", ["optimizer", "l-bfgs-b"],
        "the best point of a smooth likelihood with the fewest calls, from many starts; covariance there";
    NelderMead, nelder_mead::NelderMead, "nelder-mead", ["nelder_mead", "simplex"],
        "the best point of a rough or noisy likelihood of few parameters, from many starts; covariance there";
}

/// What `fitjob methods` lists.
pub struct Method {
    pub name: &'static str,
    pub aliases: &'static [&'static str],
    pub purpose: &'static str,
    pub gives: Gives,
}

impl EngineSpec {
    /// Settings of any engine that say how far to go, and not which way: a run may be taken up again with higher ones.
    pub const TARGETS: &[&str] = &["n_eff", "n_like_max"];
}

impl Default for EngineSpec {
    fn default() -> Self {
        EngineSpec::ImportanceNested(importance_nested::Settings::default())
    }
}

/// The own name of an engine given by any of its names.
pub fn canonical(method: &str) -> Option<&'static str> {
    METHODS.iter().find(|m| m.name == method || m.aliases.contains(&method)).map(|m| m.name)
}

/// All names that jobs may use.
pub fn names() -> Vec<&'static str> {
    METHODS.iter().flat_map(|m| [&[m.name], m.aliases].concat()).collect()
}
