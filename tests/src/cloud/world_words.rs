//! How the wire spells what the declared state enumerates.

use super::world::{Business, EniState, InstanceState, Origin, PeeringState, Role, RouterInterfaceState};

/// Spells an enumeration as the wire does.
macro_rules! spelled {
    ($type:ident { $($variant:ident => $text:literal),+ $(,)? }) => {
        impl $type {
            pub(super) fn text(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }
    };
}

spelled!(Role { Initiating => "InitiatingSide", Accepting => "AcceptingSide" });
spelled!(RouterInterfaceState {
    Idle => "Idle", Connecting => "Connecting", AcceptingConnecting => "AcceptingConnecting", Activating => "Activating",
    Active => "Active", Modifying => "Modifying", Deactivating => "Deactivating", Inactive => "Inactive",
    Deleting => "Deleting",
});
spelled!(Business { Normal => "Normal", FinancialLocked => "FinancialLocked", SecurityLocked => "SecurityLocked" });
spelled!(PeeringState { Accepting => "Accepting", Activated => "Activated", Rejected => "Rejected" });
spelled!(InstanceState { Starting => "Starting", Running => "Running", Stopping => "Stopping", Stopped => "Stopped" });
spelled!(Origin { System => "System", Custom => "Custom", Cen => "CEN" });
spelled!(EniState { InUse => "InUse", Available => "Available" });
