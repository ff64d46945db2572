//! How the API spells times, and the values of the declared state's enumerations.

use super::{Business, EniState, InstanceState, Origin, PeeringState, Role, RouterInterfaceState};
use jiff::Timestamp;

/// A time in the format of most products.
pub(in crate::cloud) fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A time without seconds, the format of ECS instances and of transit routers.
pub(in crate::cloud) fn time_minutes(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%MZ").to_string()
}

/// Implements the API spelling of an enumeration; with `read`, parsing too.
macro_rules! spelled {
    ($type:ident { $($variant:ident => $text:literal),+ $(,)? }) => {
        impl $type {
            pub(in crate::cloud) fn text(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }
    };
    ($type:ident read { $($variant:ident => $text:literal),+ $(,)? }) => {
        spelled!($type { $($variant => $text),+ });
        impl $type {
            pub(in crate::cloud) fn read(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

spelled!(Role { Initiating => "InitiatingSide", Accepting => "AcceptingSide" });
spelled!(RouterInterfaceState read {
    Idle => "Idle", Connecting => "Connecting", AcceptingConnecting => "AcceptingConnecting", Activating => "Activating",
    Active => "Active", Modifying => "Modifying", Deactivating => "Deactivating", Inactive => "Inactive",
    Deleting => "Deleting",
});
spelled!(Business read { Normal => "Normal", FinancialLocked => "FinancialLocked", SecurityLocked => "SecurityLocked" });
spelled!(PeeringState read {
    Accepting => "Accepting", Activated => "Activated", Rejected => "Rejected", Expired => "Expired",
});
spelled!(InstanceState { Starting => "Starting", Running => "Running", Stopping => "Stopping", Stopped => "Stopped" });
spelled!(Origin { System => "System", Custom => "Custom", Cen => "CEN" });
spelled!(EniState { InUse => "InUse", Available => "Available" });
