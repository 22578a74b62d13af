//! What is drawn by lot: a tree, the work in it, what is done to it, and when. The same seed draws the same.

use serde::{Deserialize, Serialize};

/// A tree, and all that will happen to it.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) seed: u64,
    pub(super) protocol: String,
    pub(super) multi_thread: bool,
    pub(super) limbs: Vec<Limb>,
}

/// An actor, and what its parent does with it, all at the same time.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Limb {
    /// Its place: "1.2" is the second child of the first.
    pub(super) name: String,
    /// Calls, one after the other.
    pub(super) calls: u64,
    /// Messages of a stream, each of which is acknowledged.
    pub(super) messages: u64,
    pub(super) strike: Option<Strike>,
    /// What it grows itself.
    pub(super) below: Vec<Limb>,
}

/// Something that is done to an actor by its parent.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Strike {
    /// The acknowledgement that it follows.
    pub(super) after: u64,
    pub(super) deed: Deed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Deed {
    /// The scope around all that the parent does with it is cancelled.
    CancelScope,
    CancelContext,
    CancelActor,
    /// The parent drops its whole nursery.
    DropNursery,
    /// The context's body.
    BodyFails,
    BodyPanics,
    /// The context's function.
    CalleeFails,
    CalleePanics,
    Kill,
    /// SIGSTOP; then its parent gives it up.
    Stop,
    /// SIGSTOP, and SIGCONT when a call has waited in vain.
    StopAndContinue,
    /// Its connections are shut down.
    Cut,
}

impl Plan {
    pub(super) fn draw(seed: u64, protocol: &str) -> Self {
        let mut lots = Lots(seed);
        let multi_thread = lots.below(2) == 1;
        let mut limbs = draw_limbs(&mut lots, "", LEVELS);
        for _ in 0..[0, 1, 1, 1, 2, 2][lots.below(6) as usize] {
            strike(&mut lots, &mut limbs, deeds(protocol));
        }
        Self { seed, protocol: protocol.into(), multi_thread, limbs }
    }

    /// The one that nothing is done to.
    pub(super) fn calm(protocol: &str) -> Self {
        let limbs = draw_limbs(&mut Lots(0), "", LEVELS);
        Self { seed: 0, protocol: protocol.into(), multi_thread: false, limbs }
    }

    /// All actions, each with the name of its target.
    pub(super) fn strikes(&self) -> Vec<(&str, Deed)> {
        let struck = |limb: &'_ Limb| limb.strike.map(|strike| strike.deed);
        self.all().into_iter().filter_map(|limb| Some((limb.name.as_str(), struck(limb)?))).collect()
    }

    /// The limbs that nothing keeps from finishing their work.
    pub(super) fn untouched(&self) -> Vec<&Limb> {
        let mut limbs = self.all();
        match self.strikes()[..] {
            [] | [(_, Deed::StopAndContinue)] => {}
            // One limb is abandoned, with all below it; the others go on.
            [(struck, Deed::CancelScope | Deed::CancelContext | Deed::CancelActor | Deed::Stop)] => {
                limbs.retain(|limb| !limb.name.starts_with(struck));
            }
            _ => limbs.clear(),
        }
        limbs
    }

    /// The limbs of all levels.
    pub(super) fn all(&self) -> Vec<&Limb> {
        self.limbs.iter().flat_map(|limb| std::iter::once(limb).chain(&limb.below)).collect()
    }
}

fn draw_limbs(lots: &mut Lots, above: &str, levels: u32) -> Vec<Limb> {
    let width = 2 + lots.below(3);
    let make = |place| {
        let name = format!("{above}{place}");
        let branches = levels > 1 && lots.below(2) == 1;
        let below = if branches { draw_limbs(lots, &format!("{name}."), levels - 1) } else { Vec::new() };
        Limb { name, calls: lots.below(30), messages: 1 + lots.below(200), strike: None, below }
    };
    (1..=width).map(make).collect()
}

/// Draws one of the limbs, or one below it, and what is done to it.
fn strike(lots: &mut Lots, limbs: &mut [Limb], deeds: &[Deed]) {
    let limb = &mut limbs[lots.below(limbs.len() as u64) as usize];
    if !limb.below.is_empty() && lots.below(2) == 1 {
        return strike(lots, &mut limb.below, deeds);
    }
    let deed = deeds[lots.below(deeds.len() as u64) as usize];
    limb.strike = Some(Strike { after: lots.below(limb.messages), deed });
}

/// What can be done to an actor over a protocol.
fn deeds(protocol: &str) -> &'static [Deed] {
    match protocol {
        "mem" => &DEEDS[..8],
        // Nothing tells the ends of a QUIC connection that it was cut: they wait for ten seconds.
        "quic" => &DEEDS[..11],
        _ => &DEEDS,
    }
}

/// First those that need no process, last that which needs a connection of the kernel.
const DEEDS: [Deed; 12] = [
    Deed::CancelScope,
    Deed::CancelContext,
    Deed::CancelActor,
    Deed::DropNursery,
    Deed::BodyFails,
    Deed::BodyPanics,
    Deed::CalleeFails,
    Deed::CalleePanics,
    Deed::Kill,
    Deed::Stop,
    Deed::StopAndContinue,
    Deed::Cut,
];

/// Below the root.
const LEVELS: u32 = 2;

/// Random numbers, always the same for a seed (SplitMix64).
struct Lots(u64);

impl Lots {
    /// Draws a number below `end`.
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}
