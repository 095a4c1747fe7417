//! What became of one request, and what its answer says when held against what is known.

use cardea_wire::{Decision, Kind, Reason, Reply, RequestId, StageTimes};

use crate::client::{Failure, Stage};
use crate::http::Response;
use crate::plan::{Lane, Message};
use crate::probes::Known;

/// One request of the run. Times are microseconds from the run's beginning.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// Its number in the plan.
    pub start: u32,
    /// What was sent.
    pub message: Message,
    /// The probe.
    pub probe: u32,
    /// The burst it belongs to, 0 for none.
    pub burst: u32,
    /// The device's lane.
    pub lane: Lane,
    /// Its name on the wire and in the server's audit.
    pub request_id: RequestId,
    /// When it was meant to start.
    pub intended_us: u64,
    /// When the generator saw that it was due: the difference is the generator's own lateness.
    pub noticed_us: u64,
    /// When it was sent on the way (behind an earlier request of the same device, later).
    pub began_us: u64,
    /// When the response was whole, or the failure seen.
    pub ended_us: u64,
    /// How long TCP and TLS took, where the request had to connect.
    pub handshake_us: Option<u64>,
    /// Whether that handshake resumed a session.
    pub resumed: Option<bool>,
    /// What came back.
    pub outcome: Outcome,
}

/// What came back.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Outcome {
    /// A decision.
    Answered(Answer),
    /// A heartbeat's reply.
    Served,
    /// A refusal: the HTTP status, and the reason where the server gave one.
    Refused {
        /// The HTTP status.
        status: u16,
        /// Why.
        reason: Option<Reason>,
    },
    /// No answer.
    Failed(Stage),
}

/// A decision with whom it is about and how long the server took.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Answer {
    /// Granted or not.
    pub granted: bool,
    /// Why not.
    pub reason: Reason,
    /// Tag of the person found; 0 is nobody.
    pub person: u64,
    /// Bits of the comparison score.
    pub score_bits: u32,
    /// The server's stages.
    pub times: StageTimes,
}

/// An answer held against the exhaustive search and the truth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Judgement {
    /// Person or score differ from the exhaustive search.
    pub wrong: bool,
    /// The person is right but the door's decision is not the wanted one.
    pub unexpected: bool,
    /// A mated probe without a match.
    pub false_negative: bool,
    /// A non-mated probe with a match.
    pub false_positive: bool,
    /// A mated probe that matched another person.
    pub wrong_person: bool,
}

impl Sample {
    /// From the intended start to the end.
    #[must_use]
    pub fn response_us(&self) -> u64 {
        self.ended_us.saturating_sub(self.intended_us)
    }

    /// From the sending to the end.
    #[must_use]
    pub fn service_us(&self) -> u64 {
        self.ended_us.saturating_sub(self.began_us)
    }

    /// The generator's own lateness.
    #[must_use]
    pub fn lateness_us(&self) -> u64 {
        self.noticed_us.saturating_sub(self.intended_us)
    }
}

impl Outcome {
    /// Reads a response to the access request or heartbeat `id`.
    ///
    /// # Errors
    /// [`Failure`] of stage parse or status.
    pub fn of(response: &Response, message: Message, id: RequestId) -> Result<Self, Failure> {
        let reply = Reply::parse(&response.body);
        let status = response.status;
        if status != 200 {
            return match (reply, status) {
                (Ok(reply), _) if reply.decision == Decision::Refused => Ok(Self::Refused {
                    status,
                    reason: Some(reply.reason),
                }),
                (_, 408 | 413 | 429 | 431 | 503 | 504) => Ok(Self::Refused {
                    status,
                    reason: None,
                }),
                _ => Err(Failure::new(Stage::Status, format!("HTTP {status}"))),
            };
        }
        let reply = reply.map_err(|error| Failure::new(Stage::Parse, error))?;
        let kind = match message {
            Message::Access => Kind::Access,
            Message::Heartbeat => Kind::Heartbeat,
        };
        if reply.kind != kind || reply.request_id != id {
            return Err(Failure::new(
                Stage::Parse,
                "the reply is to another request",
            ));
        }
        let granted = match (message, reply.decision) {
            (Message::Access, Decision::Granted) => true,
            (Message::Access, Decision::Denied) => false,
            (Message::Heartbeat, Decision::Served) => return Ok(Self::Served),
            (_, Decision::Refused | Decision::Served | Decision::Granted | Decision::Denied) => {
                let text = "HTTP 200 with a decision that does not belong here";
                return Err(Failure::new(Stage::Status, text));
            }
        };
        Ok(Self::Answered(Answer {
            granted,
            reason: reply.reason,
            person: reply.person,
            score_bits: reply.score.to_bits(),
            times: reply.times,
        }))
    }
}

impl Answer {
    /// Holds the answer against what is known of its probe.
    #[must_use]
    pub fn judge(&self, known: &Known) -> Judgement {
        let wrong = match &known.answer {
            Some(found) => self.person != found.person.tag || self.score_bits != found.score_bits,
            None => {
                self.granted || self.person != 0 || self.score_bits != 0 || !self.says_no_match()
            }
        };
        let unexpected = !wrong && known.granted.is_some_and(|granted| granted != self.granted);
        let mut judgement = Judgement {
            wrong,
            unexpected,
            ..Judgement::default()
        };
        match &known.truth {
            Some(_) if self.person == 0 => judgement.false_negative = true,
            Some(truth) => judgement.wrong_person = self.person != truth.tag,
            None => judgement.false_positive = self.person != 0,
        }
        judgement
    }

    fn says_no_match(&self) -> bool {
        self.reason == Reason::NoMatch
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probes::{Match, Person, ProbeKind};

    fn person(tag: u64) -> Person {
        Person {
            tag,
            external_id: format!("p-{tag}"),
        }
    }

    fn known(answer: Option<u64>, truth: Option<u64>) -> Known {
        Known {
            kind: ProbeKind::Mated,
            answer: answer.map(|tag| Match {
                person: person(tag),
                score_bits: 0.7_f32.to_bits(),
            }),
            truth: truth.map(person),
            granted: Some(answer.is_some()),
        }
    }

    fn answer(person: u64, score: f32) -> Answer {
        Answer {
            granted: person != 0,
            reason: if person == 0 {
                Reason::NoMatch
            } else {
                Reason::None
            },
            person,
            score_bits: score.to_bits(),
            times: StageTimes::default(),
        }
    }

    #[test]
    fn the_same_answer_is_right_and_one_bit_of_score_makes_it_wrong() {
        let known = known(Some(5), Some(5));
        assert_eq!(answer(5, 0.7).judge(&known), Judgement::default());
        let one_bit = Answer {
            score_bits: 0.7_f32.to_bits() + 1,
            ..answer(5, 0.7)
        };
        assert!(one_bit.judge(&known).wrong);
        let other = answer(6, 0.7).judge(&known);
        assert!(other.wrong && other.wrong_person);
    }

    #[test]
    fn an_identity_where_nobody_matches_is_wrong_even_when_denied() {
        let nobody = known(None, None);
        assert_eq!(answer(0, 0.0).judge(&nobody), Judgement::default());
        let named = Answer {
            granted: false,
            ..answer(5, 0.2)
        };
        let judged = named.judge(&nobody);
        assert!(judged.wrong && judged.false_positive);
        let leaked_score = answer(0, 0.2).judge(&nobody);
        assert!(leaked_score.wrong);
    }

    #[test]
    fn a_mistake_of_the_face_model_is_not_a_wrong_answer() {
        let mistaken = answer(5, 0.7).judge(&known(Some(5), Some(9)));
        assert!(!mistaken.wrong && mistaken.wrong_person);
        let missed = answer(0, 0.0).judge(&known(None, Some(9)));
        assert!(!missed.wrong && missed.false_negative);
        let stranger = answer(5, 0.7).judge(&known(Some(5), None));
        assert!(!stranger.wrong && stranger.false_positive);
    }

    #[test]
    fn the_right_person_with_another_decision_is_unexpected() {
        let denied = Answer {
            granted: false,
            reason: Reason::NoRight,
            ..answer(5, 0.7)
        };
        let judged = denied.judge(&known(Some(5), Some(5)));
        assert!(judged.unexpected && !judged.wrong);
    }

    #[test]
    fn a_response_is_a_decision_a_refusal_or_a_failure() {
        let id = RequestId([3; 16]);
        let response = |status, body| Response {
            status,
            close: false,
            part_from: None,
            body,
        };
        let reply = |decision, reason| Reply::new(Kind::Access, id, decision, reason).to_bytes();

        let denied = response(200, reply(Decision::Denied, Reason::NoMatch));
        assert!(matches!(
            Outcome::of(&denied, Message::Access, id),
            Ok(Outcome::Answered(_))
        ));

        let full = response(503, reply(Decision::Refused, Reason::Overloaded));
        let reason = Some(Reason::Overloaded);
        let status = 503;
        assert_eq!(
            Outcome::of(&full, Message::Access, id),
            Ok(Outcome::Refused { status, reason })
        );
        let bare = response(503, Vec::new());
        let reason = None;
        assert_eq!(
            Outcome::of(&bare, Message::Access, id),
            Ok(Outcome::Refused { status, reason })
        );

        fn stage(response: &Response, id: RequestId) -> Option<Stage> {
            Outcome::of(response, Message::Access, id)
                .err()
                .map(|failure| failure.stage)
        }
        assert_eq!(stage(&response(404, Vec::new()), id), Some(Stage::Status));
        assert_eq!(stage(&denied, RequestId([4; 16])), Some(Stage::Parse));
        let refused = response(200, reply(Decision::Refused, Reason::Overloaded));
        assert_eq!(stage(&refused, id), Some(Stage::Status));
        assert_eq!(stage(&response(200, vec![0; 64]), id), Some(Stage::Parse));

        let beat = Reply::new(Kind::Heartbeat, id, Decision::Served, Reason::None);
        let beat = response(200, beat.to_bytes());
        assert_eq!(
            Outcome::of(&beat, Message::Heartbeat, id),
            Ok(Outcome::Served)
        );
        assert_eq!(stage(&beat, id), Some(Stage::Parse));
    }
}
