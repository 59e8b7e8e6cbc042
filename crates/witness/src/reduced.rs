//! Replaying on a host without namespaces.

use crate::capsule::Capsule;
use crate::error::WitnessError;
use crate::host::Host;
use crate::replay::ReplayRequest;
use crate::report::RunReport;
use crate::source::FileSource;

pub(crate) fn replay(
    _: &Capsule,
    _: &dyn FileSource,
    _: &ReplayRequest,
    _: &Host,
) -> Result<RunReport, WitnessError> {
    Err(WitnessError::Request { what: "not yet".to_owned() })
}
