//! Grants of a VPC to border routers, and the listings of its grants to border routers and to CEN instances.
//!
//! The lab has no physical lines and so no border routers: a grant to one fails with the documented error for an
//! instance that does not exist. Both listings are always empty; grants made in `cbn` are not listed here.

use super::{Answer, Call, PAGE_MAX, vpc};
use crate::cloud::{calls::page::numbered, calls::refusal::Refusal, world::World};

pub(super) fn to_border_router(call: &Call<'_>, world: &mut World) -> Answer {
    call.region()?;
    let params = call.params;
    vpc::own(call, world, params.need("InstanceId")?)?;
    params.need("VbrOwnerUid")?;
    params.need("VbrRegionNo")?;
    let named = params.list("VbrInstanceIds");
    match params.need("GrantType")? {
        "Specify" if named.is_empty() => {
            return Err(Refusal::new(400, "InvalidParam.NotNull", "The parameter must not be null."));
        }
        "All" | "Specify" => {}
        _ => return Err(Refusal::new(400, "Parameter.Illegal", "The parameter is illegal.")),
    }
    Err(Refusal::new(404, "Instance.NotFound", "The specified VBR instance is not found."))
}

pub(super) fn describe_to_border_routers(call: &Call<'_>, world: &World) -> Answer {
    named_instance(call, world)?;
    let page = numbered(Vec::new(), call.params, PAGE_MAX, call.lose_page)?;
    let number = page.fields["PageNumber"].clone();
    let mut answer = page.flat("EcGrantRelations");
    if let Some(fields) = answer.as_object_mut() {
        fields.remove("PageNumber");
        fields.insert("Page".to_owned(), number);
        fields.insert("Count".to_owned(), 0.into());
    }
    Ok(answer)
}

pub(super) fn describe_to_cen(call: &Call<'_>, world: &World) -> Answer {
    call.region()?;
    named_instance(call, world)?;
    Ok(numbered(Vec::new(), call.params, PAGE_MAX, call.lose_page)?.under("CenGrantRules", "CbnGrantRule"))
}

/// Checks that the named instance is a VPC of the caller. The lab has no instances of the other types.
fn named_instance(call: &Call<'_>, world: &World) -> Result<(), Refusal> {
    let id = call.params.need("InstanceId")?;
    match call.params.need("InstanceType")? {
        "VPC" => vpc::own(call, world, id).map(|_| ()),
        "VBR" | "CCN" => Err(Refusal::new(404, "Instance.NotFound", "The specified instance is not found.")),
        _ => Err(Refusal::new(400, "Parameter.Illegal", "The parameter is illegal.")),
    }
}
