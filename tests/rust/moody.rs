//! A likelihood that does what the job says where x is above 0.9.

use fitjob::{EvalError, Likelihood};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Moody {
    how: String,
}

impl Likelihood for Moody {
    fn log_like(&self, theta: &[f64]) -> Result<f64, EvalError> {
        let value = -theta[0] * theta[0];
        if theta[0] < 0.9 {
            return Ok(value);
        }
        match self.how.as_str() {
            // SAFETY: none; this is what is to be found out.
            "segfault" => unsafe { std::ptr::write_volatile(8 as *mut i32, 1) },
            "abort" => std::process::abort(),
            "recursion" => return Ok(deeper(theta[0])),
            "exit" => std::process::exit(0),
            "panic" => panic!("no root in {theta:?}"),
            "print" => println!("hello from {}", theta[0]),
            "nan" => return Ok(f64::NAN),
            "sleep" => loop {
                std::thread::sleep(std::time::Duration::from_secs(1));
            },
            "reject" => return Err(EvalError::Reject("no such star".into())),
            "fail" => return Err(EvalError::Failed("no convergence".into())),
            "fatal" => return Err(EvalError::Fatal("the tables are wrong".into())),
            how => unreachable!("{how}"),
        }
        Ok(value)
    }
}

#[inline(never)]
fn deeper(x: f64) -> f64 {
    let room = std::hint::black_box([x; 512]);
    deeper(room[17]) + room[3]
}

fn main() {
    fitjob::main::<Moody>()
}
