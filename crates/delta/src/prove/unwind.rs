//! How executed units unwind: frame descriptions and exception tables.

use assay_binary::{Address, Fde, Lsda, TypeReference, Unit};

use super::Reason;
use super::simulate::Simulation;
use crate::body::Body;

pub(super) fn compare(simulation: &mut Simulation<'_, '_>, a: &Unit, b: &Unit, bodies: (&Body, &Body)) {
    for (range_a, range_b) in a.ranges.iter().zip(&b.ranges) {
        let fdes_a = simulation.a.image.unwind().fdes_in(*range_a);
        let fdes_b = simulation.b.image.unwind().fdes_in(*range_b);
        if fdes_a.len() != fdes_b.len() {
            return simulation.refuse(Reason::UnwindDiffers, "the number of frame descriptions differs");
        }
        for (fde_a, fde_b) in fdes_a.iter().zip(fdes_b) {
            let offset =
                |fde: &Fde, start: Address| (fde.range.start.0 - start.0, fde.range.size(), fde.signal_frame);
            if offset(fde_a, range_a.start) != offset(fde_b, range_b.start) {
                return simulation.refuse(Reason::UnwindDiffers, "a frame description covers other code");
            }
            entry(simulation, fde_a, fde_b, bodies);
        }
    }
}

fn entry(simulation: &mut Simulation<'_, '_>, a: &Fde, b: &Fde, bodies: (&Body, &Body)) {
    let rules = (simulation.a.image.unwind().rules(a), simulation.b.image.unwind().rules(b));
    if rules.0.is_err() || rules.0 != rules.1 {
        return simulation.refuse(Reason::UnwindDiffers, "the unwind rules differ");
    }
    match (a.personality, b.personality) {
        (None, None) => {}
        (Some(x), Some(y)) if a.personality_is_slot && b.personality_is_slot => simulation.slot(x.0, y.0),
        (Some(x), Some(y)) if a.personality_is_slot == b.personality_is_slot => {
            simulation.stored_address(x.0, y.0)
        }
        _ => return simulation.refuse(Reason::UnwindDiffers, "the personality differs"),
    }
    match (a.lsda, b.lsda) {
        (None, None) => {}
        (Some(x), Some(y)) => exception_table(simulation, (x, a.range.start), (y, b.range.start), bodies),
        _ => simulation.refuse(Reason::UnwindDiffers, "only one has an exception table"),
    }
}

fn exception_table(
    simulation: &mut Simulation<'_, '_>,
    a: (Address, Address),
    b: (Address, Address),
    bodies: (&Body, &Body),
) {
    let tables = (Lsda::read(&simulation.a.image, a.0, a.1), Lsda::read(&simulation.b.image, b.0, b.1));
    let (Ok(table_a), Ok(table_b)) = tables else {
        return simulation.refuse(Reason::UnwindDiffers, "an exception table cannot be read");
    };
    if table_a.call_sites.len() != table_b.call_sites.len() {
        return simulation.refuse(Reason::UnwindDiffers, "the number of call sites differs");
    }
    for (site_a, site_b) in table_a.call_sites.iter().zip(&table_b.call_sites) {
        let pad = |body: &Body, pad: Option<Address>| pad.map(|pad| body.position(pad.0));
        let pads = (pad(bodies.0, site_a.landing_pad), pad(bodies.1, site_b.landing_pad));
        let filters = |site: &assay_binary::CallSite| {
            site.actions.iter().map(|action| (action.filter, action.types.len())).collect::<Vec<_>>()
        };
        let same = (site_a.start, site_a.length) == (site_b.start, site_b.length)
            && pads.0 == pads.1
            && pads.0 != Some(None)
            && filters(site_a) == filters(site_b);
        if !same {
            return simulation.refuse(Reason::UnwindDiffers, "a call site differs");
        }
        let types = |site: &assay_binary::CallSite| {
            site.actions.iter().flat_map(|action| action.types.clone()).collect::<Vec<TypeReference>>()
        };
        for (x, y) in types(site_a).into_iter().zip(types(site_b)) {
            type_reference(simulation, x, y);
        }
    }
}

fn type_reference(simulation: &mut Simulation<'_, '_>, a: TypeReference, b: TypeReference) {
    match (a.address.0, b.address.0) {
        (0, 0) => {}
        (x, y) if x == 0 || y == 0 || a.is_slot != b.is_slot => {
            simulation.refuse(Reason::UnwindDiffers, "a caught type differs");
        }
        (x, y) if a.is_slot => simulation.slot(x, y),
        (x, y) => simulation.stored_address(x, y),
    }
}
