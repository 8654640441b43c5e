//! Runs one seed and prints what was found: `cargo run --release -p world --example seed -- 42`.

fn main() {
    for argument in std::env::args().skip(1) {
        let seed = argument.parse().expect("a seed is a number");
        println!("{:#?}", world::simulate(seed, None));
    }
}
