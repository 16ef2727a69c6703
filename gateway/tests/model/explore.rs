//! A breadth-first explorer: visits every state that any order of steps reaches, checks the laws of
//! safety in each, and then asks of each whether a way leads from it to a goal.
//!
//! Our own and not a library's: the second question, "from every state there is a way to", needs the
//! whole graph backwards. The library at hand (stateright) knows `always` and an `eventually` that, by its
//! own documentation, overlooks paths that end in a cycle, and a link that breaks and is dialled again is
//! one. The rest is two hundred lines, deterministic and without a dependency.

use gateway::suite::sha256;
use std::collections::HashMap;
use std::fmt::Display;
use std::hash::{BuildHasherDefault, Hash, Hasher};

/// Something that can be explored.
pub trait System {
    type State: Copy + Hash;
    type Step: Copy;

    fn start(&mut self) -> Self::State;
    /// Every step that may come next.
    fn steps(&mut self, state: &Self::State, into: &mut Vec<Self::Step>);
    /// Takes one, or says which law the step itself breaks.
    fn take(&mut self, state: &Self::State, step: Self::Step) -> Result<Self::State, String>;
    /// The law that a state breaks.
    fn broken(&mut self, state: &Self::State) -> Option<String>;
    /// Whether everything is done that can be done.
    fn is_goal(&mut self, state: &Self::State) -> bool;
    /// For people: a step before it is taken, and what it leads to.
    fn tell_step(&mut self, state: &Self::State, step: Self::Step) -> String;
    fn tell_state(&mut self, state: &Self::State) -> String;
}

/// What was found.
pub struct Outcome {
    pub states: usize,
    pub transitions: usize,
    /// Steps of the longest shortest way to a state.
    pub depth: usize,
    pub goals: usize,
    /// The law that was broken, and the shortest script that breaks it.
    pub counterexample: Option<Counterexample>,
}

pub struct Counterexample {
    pub law: String,
    pub script: Vec<String>,
}

impl Display for Counterexample {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "broken: {}", self.law)?;
        for (number, line) in self.script.iter().enumerate() {
            writeln!(f, "{number:>4}  {line}")?;
        }
        Ok(())
    }
}

/// Gathers what a state hashes, which is all of it: `Hash` is derived, so no field is forgotten.
#[derive(Default)]
struct Gather(Vec<u8>);

impl Hasher for Gather {
    fn write(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn finish(&self) -> u64 {
        0
    }
}

/// Half of a SHA-256: two different states of a run with the same name are not to be expected.
type Name = u128;

fn name_of(state: &impl Hash, gather: &mut Gather) -> Name {
    gather.0.clear();
    state.hash(gather);
    let hash = sha256(&[&gather.0]);
    Name::from_le_bytes(*hash.first_chunk().expect("a hash has 32 bytes"))
}

/// Names are hashes already.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn write(&mut self, _: &[u8]) {
        unreachable!("names are written whole");
    }

    fn write_u128(&mut self, name: u128) {
        self.0 = name as u64;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

struct Visited<S> {
    places: HashMap<Name, u32, BuildHasherDefault<AsItIs>>,
    /// How each state was first reached.
    from: Vec<Option<(u32, S)>>,
    /// Every step: from, to.
    edges: Vec<(u32, u32)>,
    goals: Vec<u32>,
}

/// Explores everything that `system` can do. Stops at the first state that breaks a law.
///
/// # Panics
/// Beyond `states_max`: a bound that grew by mistake should say so.
pub fn explore<S: System>(system: &mut S, states_max: usize) -> Outcome {
    let mut gather = Gather::default();
    let start = system.start();
    let mut visited =
        Visited { places: HashMap::default(), from: vec![None], edges: Vec::new(), goals: Vec::new() };
    visited.places.insert(name_of(&start, &mut gather), 0);
    let mut level = vec![(0u32, start)];
    let mut depth = 0;
    let mut steps = Vec::new();
    let mut broken = system.broken(&start).map(|law| (law, 0, None));
    while !level.is_empty() && broken.is_none() {
        let mut next = Vec::new();
        'level: for (place, state) in &level {
            if system.is_goal(state) {
                visited.goals.push(*place);
            }
            steps.clear();
            system.steps(state, &mut steps);
            for step in &steps {
                let reached = match system.take(state, *step) {
                    Ok(reached) => reached,
                    Err(law) => {
                        broken = Some((law, *place, Some(*step)));
                        break 'level;
                    }
                };
                let new = u32::try_from(visited.from.len()).expect("fewer than 2^32 states");
                let name = name_of(&reached, &mut gather);
                let to = *visited.places.entry(name).or_insert(new);
                visited.edges.push((*place, to));
                if to != new {
                    continue;
                }
                assert!(visited.from.len() < states_max, "more than {states_max} states");
                visited.from.push(Some((*place, *step)));
                if let Some(law) = system.broken(&reached) {
                    broken = Some((law, new, None));
                    break 'level;
                }
                next.push((new, reached));
            }
        }
        level = next;
        depth += usize::from(!level.is_empty());
    }
    if broken.is_none() {
        let stuck = stranded(&visited);
        broken = stuck.map(|place| ("no way leads from here to everything delivered".into(), place, None));
    }
    let (states, transitions, goals) = (visited.from.len(), visited.edges.len(), visited.goals.len());
    let counterexample = broken.map(|(law, place, last)| {
        let script = script(system, &visited, place, last);
        Counterexample { law, script }
    });
    Outcome { states, transitions, depth, goals, counterexample }
}

/// The first state from which no goal can be reached.
fn stranded<S>(visited: &Visited<S>) -> Option<u32> {
    // The edges backwards, sorted by where they lead: counting sort, as there are many.
    let states = visited.from.len();
    let mut starts = vec![0u32; states + 1];
    for (_, to) in &visited.edges {
        starts[*to as usize + 1] += 1;
    }
    for place in 0..states {
        starts[place + 1] += starts[place];
    }
    let mut free = starts.clone();
    let mut sources = vec![0u32; visited.edges.len()];
    for (from, to) in &visited.edges {
        let place = &mut free[*to as usize];
        sources[*place as usize] = *from;
        *place += 1;
    }
    let mut good = vec![false; states];
    let mut open = visited.goals.clone();
    for goal in &open {
        good[*goal as usize] = true;
    }
    while let Some(state) = open.pop() {
        let range = starts[state as usize] as usize..starts[state as usize + 1] as usize;
        for source in &sources[range] {
            if !std::mem::replace(&mut good[*source as usize], true) {
                open.push(*source);
            }
        }
    }
    good.iter().position(|good| !good).map(|place| place as u32)
}

/// The shortest way to a state, retold.
fn script<S: System>(
    system: &mut S,
    visited: &Visited<S::Step>,
    place: u32,
    last: Option<S::Step>,
) -> Vec<String> {
    let mut steps: Vec<S::Step> = last.into_iter().collect();
    let mut at = place;
    while let Some((from, step)) = visited.from[at as usize] {
        steps.push(step);
        at = from;
    }
    let mut state = system.start();
    let mut script = Vec::new();
    for step in steps.into_iter().rev() {
        script.push(system.tell_step(&state, step));
        match system.take(&state, step) {
            Ok(next) => state = next,
            Err(_) => return script,
        }
    }
    script.push(format!("then {}", system.tell_state(&state)));
    script
}
