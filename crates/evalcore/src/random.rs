//! CPython's `random.Random`, as far as drawing examples needs it.
//!
//! The reference evals choose their examples with `random.Random(seed).sample(...)`, so the same generator is needed to
//! run the same examples: MT19937 (Matsumoto and Nishimura 1998,
//! <https://doi.org/10.1145/272991.272995>) seeded by the words of the seed, with the rejection and the two sampling
//! methods of CPython's `Lib/random.py`. Not for secrets.

use std::collections::HashSet;

const N: usize = 624;
const M: usize = 397;

/// A generator that gives what CPython's `random.Random(seed)` gives.
pub struct Random {
    state: [u32; N],
    next: usize,
}

impl Random {
    /// The generator for `seed`; Python's seeds above 64 bits are not offered.
    pub fn new(seed: u64) -> Self {
        let words = [seed as u32, (seed >> 32) as u32];
        let key = if words[1] == 0 { &words[..1] } else { &words };
        Self { state: mix_key(key), next: N }
    }

    /// A number of `bits` random bits, `bits` being at most 64.
    pub fn getrandbits(&mut self, bits: u32) -> u64 {
        match bits {
            0 => 0,
            1..=32 => u64::from(self.word() >> (32 - bits)),
            33..=64 => {
                let low = u64::from(self.word());
                low | u64::from(self.word() >> (64 - bits)) << 32
            }
            _ => panic!("at most 64 random bits at once, not {bits}"),
        }
    }

    /// A number from 0 to `n - 1`.
    ///
    /// # Panics
    ///
    /// When `n` is 0: there is no such number.
    pub fn randbelow(&mut self, n: usize) -> usize {
        assert!(n > 0, "no number is below 0");
        // The bit length of `n`, not of `n - 1`: a power of two rejects half of its draws, as in CPython.
        let bits = usize::BITS - n.leading_zeros();
        loop {
            let drawn = self.getrandbits(bits) as usize;
            if drawn < n {
                return drawn;
            }
        }
    }

    /// `k` different numbers below `n`, in the order in which they are drawn.
    ///
    /// # Panics
    ///
    /// When `k` is above `n`, where Python raises a `ValueError`.
    pub fn sample(&mut self, n: usize, k: usize) -> Vec<usize> {
        assert!(k <= n, "cannot draw {k} of {n}");
        if n <= set_size(k) {
            let mut pool: Vec<usize> = (0..n).collect();
            return (0..k).map(|_| pool.swap_remove(self.randbelow(pool.len()))).collect();
        }
        let mut seen = HashSet::with_capacity(k);
        let mut drawn = Vec::with_capacity(k);
        while drawn.len() < k {
            let index = self.randbelow(n);
            if seen.insert(index) {
                drawn.push(index);
            }
        }
        drawn
    }

    fn word(&mut self) -> u32 {
        if self.next == N {
            twist(&mut self.state);
            self.next = 0;
        }
        let mut word = self.state[self.next];
        self.next += 1;
        word ^= word >> 11;
        word ^= (word << 7) & 0x9d2c_5680;
        word ^= (word << 15) & 0xefc6_0000;
        word ^ (word >> 18)
    }
}

/// CPython's estimate of the size of a set of `k` numbers: up to this many numbers a list is drawn from instead.
fn set_size(k: usize) -> usize {
    if k <= 5 {
        return 21;
    }
    let mut power = 4_usize;
    while power < k.saturating_mul(3) {
        power = power.saturating_mul(4);
    }
    power.saturating_add(21)
}

fn twist(state: &mut [u32; N]) {
    for i in 0..N {
        let joined = (state[i] & 0x8000_0000) | (state[(i + 1) % N] & 0x7fff_ffff);
        let odd = if joined & 1 == 1 { 0x9908_b0df } else { 0 };
        state[i] = state[(i + M) % N] ^ (joined >> 1) ^ odd;
    }
}

/// The reference implementation's `init_by_array`.
fn mix_key(key: &[u32]) -> [u32; N] {
    let mut state = [0_u32; N];
    state[0] = 19_650_218;
    for i in 1..N {
        state[i] = stirred(&state, i).wrapping_mul(1_812_433_253).wrapping_add(i as u32);
    }
    let n_key_rounds = N.max(key.len());
    let mut i = 1;
    for round in 0..n_key_rounds + N - 1 {
        let stirred = stirred(&state, i);
        state[i] = if round < n_key_rounds {
            let j = round % key.len();
            (state[i] ^ stirred.wrapping_mul(1_664_525)).wrapping_add(key[j]).wrapping_add(j as u32)
        } else {
            (state[i] ^ stirred.wrapping_mul(1_566_083_941)).wrapping_sub(i as u32)
        };
        i += 1;
        if i == N {
            state[0] = state[N - 1];
            i = 1;
        }
    }
    state[0] = 0x8000_0000;
    state
}

fn stirred(state: &[u32; N], i: usize) -> u32 {
    state[i - 1] ^ (state[i - 1] >> 30)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(seed: u64, n: usize, drawn: &[usize]) {
        assert_eq!(Random::new(seed).sample(n, drawn.len()), drawn, "seed {seed}, n {n}");
    }

    #[test]
    fn examples_are_those_of_the_reference_evals() {
        check(0, 1266, &[788, 861, 82, 530, 1047, 995, 829, 621, 976, 733]); // BrowseComp
        check(45, 1266, &[556, 855, 999, 527, 167, 620, 693, 44, 148, 991]); // BrowseComp, the fork
        check(0, 4326, &[3155, 3445, 331, 2121, 4188, 3980, 3317, 2484, 3904, 2933]); // SimpleQA
        check(0, 14042, &[13835, 6311, 12418, 6890, 663, 4242, 8376, 7961, 6634, 12841]); // MMLU
        check(0, 14042, &[13835]); // MMLU, one example
        check(0, 5000, &[3155, 3445, 331, 2121, 4188, 3980, 3317, 2484, 3904, 2933]); // MATH, HealthBench
        check(0, 500, &[432, 197, 388, 455, 215, 20, 132, 494, 261, 248]); // MATH-500
        check(0, 198, &[98, 194, 107, 10, 66, 130, 124, 103, 77, 122]); // GPQA diamond
        check(0, 164, &[98, 107, 10, 66, 130, 124, 103, 77, 122, 91]); // HumanEval
        check(0, 1000, &[864, 394, 776, 911, 430, 41, 265, 988, 523, 497]); // HealthBench hard
        check(42, 9536, &[1824, 409, 4506, 4012, 3657, 2286, 1679, 8935, 1424, 6912]); // DROP
    }

    #[track_caller]
    fn check_permutations(mut random: Random, permutations: [[usize; 4]; 5]) {
        for permutation in permutations {
            assert_eq!(random.sample(4, 4), permutation);
        }
    }

    #[test]
    fn gpqa_choices_are_permuted_by_the_generator_that_drew_the_examples() {
        let whole = [[3, 1, 0, 2], [3, 1, 2, 0], [2, 3, 0, 1], [2, 0, 3, 1], [1, 3, 0, 2]];
        check_permutations(Random::new(0), whole);
        let mut random = Random::new(0);
        random.sample(198, 5);
        check_permutations(
            random,
            [[3, 1, 2, 0], [2, 3, 0, 1], [2, 0, 3, 1], [1, 3, 0, 2], [2, 1, 0, 3]],
        );
    }

    #[test]
    fn bits_and_bounds_match_cpython_for_seeds_of_one_and_two_words() {
        let seeds = [
            (0, 17_809_683_713_383_489_082, 366),
            (4_294_967_295, 11_124_323_167_451_281_159, 363),
        ];
        let wide = [
            (4_294_967_296, 16_161_065_642_225_157_897, 77),
            (u64::MAX, 1_752_763_915_482_752_451, 747),
        ];
        for (seed, last, below_1000) in seeds.into_iter().chain(wide) {
            let mut random = Random::new(seed);
            let drawn: Vec<u64> =
                [32, 1, 5, 32, 40, 64].into_iter().map(|k| random.getrandbits(k)).collect();
            assert_eq!(drawn[5], last, "seed {seed}");
            let below: Vec<usize> =
                [1, 2, 3, 16, 1000].into_iter().map(|n| random.randbelow(n)).collect();
            assert_eq!(below[4], below_1000, "seed {seed}");
        }
    }

    #[test]
    fn list_and_set_methods_change_over_where_cpython_does() {
        let mut random = Random::new(1);
        for bits in [32, 1, 5, 32, 40, 64] {
            random.getrandbits(bits);
        }
        for n in [1, 2, 3, 16, 1000] {
            random.randbelow(n);
        }
        assert_eq!(random.sample(50, 6), [13, 6, 31, 1, 24, 27]);
        assert_eq!(random.sample(3, 3), [2, 0, 1]);
        assert_eq!(random.sample(21, 5), [8, 7, 18, 3, 10]);
        assert_eq!(random.sample(22, 5), [0, 20, 17, 12, 21]);
        assert_eq!(random.sample(85, 6), [27, 54, 3, 67, 28, 56]);
        assert_eq!(random.sample(86, 6), [63, 70, 29, 44, 28, 58]);
    }

    #[test]
    fn nothing_is_drawn_from_nothing() {
        check(0, 0, &[]);
        check(0, 7, &[]);
    }
}
