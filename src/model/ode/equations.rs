//! What a piece of DiffSL code calls its inputs, states and outputs.

use crate::expr::nearest;
use diffsl::ast::{Ast, AstKind};
use diffsl::discretise::{DiscreteModel, Tensor};

/// The interface of a system of equations.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Equations {
    pub inputs: Vec<Input>,
    states: Vec<Label>,
    /// Empty if the code has no `out`.
    outputs: Vec<Label>,
}

/// One scalar of the `in` tensor.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Input {
    pub name: Option<String>,
    pub default: f64,
}

/// A named stretch of a vector.
#[derive(Clone, Debug, PartialEq)]
struct Label {
    name: Option<String>,
    start: usize,
    length: usize,
}

/// Something that is observed: an element of the outputs or of the states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Observable {
    Output(usize),
    State(usize),
}

/// A message with line and column where the language has them.
pub(super) type Fault = String;

impl Equations {
    /// Reads names out of the code, which is checked for form and sense, but not compiled.
    pub fn read(code: &str) -> Result<Equations, Fault> {
        let parsed = diffsl::parser::parse_ds_string(code).map_err(|e| format!("the DiffSL code is not well formed:\n{e}"))?;
        refuse_imports(&parsed.tensors)?;
        let model =
            DiscreteModel::build("model", &parsed).map_err(|e| format!("the DiffSL code has faults:{}", e.as_error_message(code)))?;
        if model.stop().is_some() || model.reset().is_some() {
            return Err("`stop` and `reset` are not supported: the data are compared with one smooth solution".into());
        }
        let inputs = model.input().map(inputs).transpose()?.unwrap_or_default();
        Ok(Equations { inputs, states: labels(model.state()), outputs: model.out().map(labels).unwrap_or_default() })
    }

    /// Finds `name`, `name[2]`, `out[2]` or `u[2]`: among outputs first, then among states.
    pub fn find(&self, text: &str) -> Result<Observable, Fault> {
        let (name, index) = split_index(text)?;
        let length = |labels: &[Label]| labels.iter().map(|l| l.start + l.length).max().unwrap_or(0);
        let whole = |name: &str, labels: &[Label]| Label { name: Some(name.into()), start: 0, length: length(labels) };
        let among = |labels: &[Label]| labels.iter().find(|l| l.name.as_deref() == Some(name)).cloned();
        if let Some(label) = among(&self.outputs) {
            return label.element(index, text).map(Observable::Output);
        }
        if let Some(label) = among(&self.states) {
            return label.element(index, text).map(Observable::State);
        }
        match name {
            "out" if !self.outputs.is_empty() => whole("out", &self.outputs).element(index, text).map(Observable::Output),
            "u" => whole("u", &self.states).element(index, text).map(Observable::State),
            _ => Err(self.unknown(name)),
        }
    }

    fn unknown(&self, name: &str) -> Fault {
        let known: Vec<&str> = self.outputs.iter().chain(&self.states).filter_map(|l| l.name.as_deref()).collect();
        let hint = nearest(name, known.iter().copied()).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        format!("the equations have no output or state `{name}`{hint} (known: {}, out[0], u[0], ...)", known.join(", "))
    }
}

impl Label {
    /// The place of element `index` of this label; a label of one element needs no index.
    fn element(&self, index: Option<usize>, text: &str) -> Result<usize, Fault> {
        match index {
            None if self.length == 1 => Ok(self.start),
            None => Err(format!("`{text}` has {} elements: name one, as in `{text}[0]`", self.length)),
            Some(i) if i < self.length => Ok(self.start + i),
            Some(i) => Err(format!("`{text}`: there is no element {i}, the last is {}", self.length - 1)),
        }
    }
}

/// `name[3]` as name and index. `out_i` is the name `out`: the index letter is not part of it.
fn split_index(text: &str) -> Result<(&str, Option<usize>), Fault> {
    let (name, index) = match text.trim().split_once('[') {
        None => (text.trim(), None),
        Some((name, rest)) => {
            let number = rest.strip_suffix(']').and_then(|n| n.trim().parse().ok());
            (name, Some(number.ok_or_else(|| format!("`{text}` is not understood: write an element as `name[0]`"))?))
        }
    };
    Ok((name.split_once('_').map_or(name, |(stem, _)| stem), index))
}

fn labels(tensor: &Tensor) -> Vec<Label> {
    let label = |block: &diffsl::discretise::TensorBlock| {
        let start = block.start().first().map_or(0, |s| usize::try_from(*s).unwrap_or(0));
        // an element without a label that is just a name goes by that name
        let by_content = match &block.expr().kind {
            AstKind::Name(it) if it.indice.is_none() => Some(it.name.to_string()),
            _ => None,
        };
        Label { name: block.name().map(String::from).or(by_content), start, length: block.shape().iter().product() }
    };
    tensor.elmts().iter().map(label).collect()
}

fn inputs(tensor: &Tensor) -> Result<Vec<Input>, Fault> {
    let input = |block: &diffsl::discretise::TensorBlock| {
        let name = block.name().map(String::from);
        let shown = name.as_deref().unwrap_or("(no name)");
        if block.shape().iter().product::<usize>() != 1 {
            return Err(format!("the input `{shown}` is a vector; give each of its elements a name of its own"));
        }
        let default = number(block.expr()).ok_or_else(|| format!("the default of the input `{shown}` is not a number"))?;
        Ok(Input { name, default })
    };
    tensor.elmts().iter().map(input).collect()
}

/// The value of an expression of numbers.
fn number(ast: &Ast) -> Option<f64> {
    match &ast.kind {
        AstKind::Number(x) => Some(*x),
        AstKind::Integer(n) => Some(*n as f64),
        AstKind::Monop(it) => number(&it.child).map(|x| if it.op == '-' { -x } else { x }),
        AstKind::Binop(it) => {
            let (a, b) = (number(&it.left)?, number(&it.right)?);
            match it.op {
                '+' => Some(a + b),
                '-' => Some(a - b),
                '*' => Some(a * b),
                '/' => Some(a / b),
                _ => None,
            }
        }
        _ => None,
    }
}

/// `read('file')` would touch the file system on every rank, behind the root's back.
fn refuse_imports(tensors: &[Box<Ast>]) -> Result<(), Fault> {
    for tensor in tensors {
        let AstKind::Tensor(tensor) = &tensor.kind else { continue };
        for element in tensor.elmts() {
            if let AstKind::TensorElmt(element) = &element.kind
                && let AstKind::SparseImport(import) = &element.expr.kind
            {
                return Err(format!("read('{}') is not supported: write the numbers into the code", import.path));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODE: &str = "in_i { a = 1.5, b = -2, c = 2*3/4 }
        u_i { x = 1, (1:4): y = 2 }
        F_i { -a*x, -b*y_i*c }
        out_i { x, twice = 2*x, y_i }";

    #[test]
    fn inputs_have_names_and_defaults() {
        let read = Equations::read(CODE).unwrap();
        let inputs: Vec<_> = read.inputs.iter().map(|i| (i.name.as_deref().unwrap(), i.default)).collect();
        assert_eq!(inputs, [("a", 1.5), ("b", -2.0), ("c", 1.5)]);
    }

    #[test]
    fn outputs_are_found_by_label_by_content_by_index_and_then_among_states() {
        let read = Equations::read(CODE).unwrap();
        assert_eq!(read.find("twice"), Ok(Observable::Output(1)));
        assert_eq!(read.find("x"), Ok(Observable::Output(0)));
        assert_eq!(read.find("y[2]"), Ok(Observable::Output(4)));
        assert_eq!(read.find("out_i[4]"), Ok(Observable::Output(4)));
        assert_eq!(read.find("u[3]"), Ok(Observable::State(3)));
        assert!(read.find("y").unwrap_err().contains("3 elements"));
        assert!(read.find("out[5]").unwrap_err().contains("the last is 4"));
        assert!(read.find("twise").unwrap_err().contains("did you mean `twice`?"));
        let silent = Equations::read("u_i { x = 1, y = 2 } F_i { -x, -y }").unwrap();
        assert_eq!(silent.find("y"), Ok(Observable::State(1)));
    }

    #[test]
    fn faulty_code_is_refused_with_line_and_column() {
        assert!(Equations::read("u_i { x = 1 \n F_i { -x }").unwrap_err().contains("-->"));
        assert!(Equations::read("u_i { x = 1 }\nF_i { -z }").unwrap_err().contains("Line 2"));
        assert!(Equations::read("u_i { x = 1 } F_i { -x } stop_i { x - 0.5 }").unwrap_err().contains("stop"));
    }
}
