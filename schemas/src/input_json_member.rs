//! Decides which fields a change of a member has in JSON.

use pipeline::calendar::CivilDate;
use pipeline::fact::MemberChange;
use serde::de::{Error, MapAccess};

use crate::input::MemberRecord;
use crate::input_avro::member_operation;
use crate::input_json::{Fields, Head};
use crate::json_value::{Context, DATE, Nullable, Text, symbol};
use crate::symbols::SEX;

/// The fields of a `member` record.
#[derive(Default)]
pub(crate) struct MemberFields<'s> {
    head: Head<'s>,
    operation_name: Option<&'s str>,
    effective_on: Option<CivilDate>,
    birth_date: Option<Option<CivilDate>>,
    birth_date_quality: Option<Option<&'s str>>,
    sex: Option<Option<&'static str>>,
    course: Option<Option<&'s str>>,
    residence: Option<Option<&'s str>>,
    insurance: Option<Option<&'s str>>,
    identity_route: Option<Option<&'s str>>,
}

impl<'s> Fields<'s> for MemberFields<'s> {
    type Value = MemberRecord<'s>;

    fn field<A: MapAccess<'s>>(&mut self, context: &Context<'s>, name: &str, map: &mut A) -> Result<(), A::Error> {
        let text = Nullable(Text(context));
        match name {
            "op" => context.fill(map, &mut self.operation_name, "op", Text(context)),
            "effective_on" => context.fill(map, &mut self.effective_on, "effective_on", DATE),
            "birth_date" => context.fill(map, &mut self.birth_date, "birth_date", Nullable(DATE)),
            "birth_date_quality" => context.fill(map, &mut self.birth_date_quality, "birth_date_quality", text),
            "sex" => context.fill(map, &mut self.sex, "sex", Nullable(symbol(SEX))),
            "course" => context.fill(map, &mut self.course, "course", text),
            "residence" => context.fill(map, &mut self.residence, "residence", text),
            "insurance" => context.fill(map, &mut self.insurance, "insurance", text),
            "identity_route" => context.fill(map, &mut self.identity_route, "identity_route", text),
            _ => self.head.field(context, name, map),
        }
    }

    fn finish<E: Error>(self, context: &Context<'s>) -> Result<MemberRecord<'s>, E> {
        let head = self.head.whole(context)?;
        let operation_name = context.required(self.operation_name, "op")?;
        Ok(MemberRecord {
            change: MemberChange {
                id: head.id,
                programme: head.programme,
                member: head.member,
                received_at: head.received_at,
                operation: member_operation(operation_name),
                operation_name,
                effective_on: context.required(self.effective_on, "effective_on")?,
                birth_date: self.birth_date.flatten(),
            },
            birth_date_quality: self.birth_date_quality.flatten(),
            sex: self.sex.flatten(),
            course: self.course.flatten(),
            residence: self.residence.flatten(),
            insurance: self.insurance.flatten(),
            identity_route: self.identity_route.flatten(),
        })
    }
}
