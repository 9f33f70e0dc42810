//! The link of a step as bytes in its job's record. A workflow of 100,000 members stores, hands out and ends as many records, and their links
//! differ in one number: as JSON they were half of the record, and cost the store as much.
//!
//! | bytes | what |
//! |---|---|
//! | 0 | low two bits: the policy; 4: `many`; 8: `last` |
//! | 1 | length of the workflow's id |
//! | 2 | 1: the id stands here; 0: it is the front of the job's id |
//! | then | the id if it stands here, then its node in 4 bytes, highest first |
//! | then | how many `next` there are, in a byte; for each its node in 4 bytes and its queue behind its length in a byte |
//! | then | how many `counts` there are, in a byte; for each its node and for how many it waits, in 4 bytes each |

use super::link::{Counts, Next, Policy, StepLink};
use crate::id::JobId;
use crate::name::{QueueName, WorkflowId};
use crate::record::{Reader, RecordError};

const POLICIES: [Policy; 4] = [Policy::Fail, Policy::Continue, Policy::Wait, Policy::Callback];
const MANY: u8 = 4;
const LAST: u8 = 8;

impl StepLink {
    /// Appends the bytes of the link of this job.
    ///
    /// A link that says more of what is behind it than 255 times says `many`: a plan makes none with more than
    /// [`MAX_INLINE`](super::MAX_INLINE).
    pub(crate) fn encode_to(&self, id: &JobId, bytes: &mut Vec<u8>) {
        let (nexts, counts) = (u8::try_from(self.next.len()), u8::try_from(self.counts.len()));
        let (nexts, counts, many) = match (nexts, counts) {
            (Ok(nexts), Ok(counts)) => (nexts, counts, self.many),
            _ => (0, 0, true),
        };
        let policy = POLICIES.iter().position(|policy| *policy == self.policy).unwrap_or_default() as u8;
        let workflow = self.workflow.as_str();
        let is_written = !id.as_str().starts_with(workflow);
        bytes.push(policy | if many { MANY } else { 0 } | if self.last { LAST } else { 0 });
        // An id has less than 200 bytes.
        bytes.extend([workflow.len() as u8, u8::from(is_written)]);
        if is_written {
            bytes.extend_from_slice(workflow.as_bytes());
        }
        bytes.extend(self.at.to_be_bytes());
        bytes.push(nexts);
        for Next(node, queue) in self.next.iter().take(nexts.into()) {
            bytes.extend(node.to_be_bytes());
            bytes.push(queue.as_str().len() as u8);
            bytes.extend_from_slice(queue.as_str().as_bytes());
        }
        bytes.push(counts);
        for Counts(node, need) in self.counts.iter().take(counts.into()) {
            bytes.extend(node.to_be_bytes());
            bytes.extend(need.to_be_bytes());
        }
    }

    /// Reads the link of this job; nothing of what is behind it.
    pub(crate) fn decode_from(id: &JobId, reader: &mut Reader<'_>) -> Result<Self, RecordError> {
        const WRONG: RecordError = RecordError::Part("place in its workflow");
        let flags = reader.number(1)? as u8;
        let policy = *POLICIES.get(usize::from(flags & 3)).ok_or(WRONG)?;
        let length = reader.number(1)? as usize;
        let workflow = match reader.number(1)? {
            0 => id.as_str().get(..length).ok_or(WRONG)?,
            _ => reader.text(length, "workflow")?,
        };
        let workflow = WorkflowId::new(workflow).map_err(|_| WRONG)?;
        let at = reader.number(4)? as u32;
        let mut link = Self::new(workflow, at);
        (link.policy, link.many, link.last) = (policy, flags & MANY != 0, flags & LAST != 0);
        for _ in 0..reader.number(1)? {
            let (node, length) = (reader.number(4)? as u32, reader.number(1)? as usize);
            let queue = QueueName::new(reader.text(length, "queue behind it")?).map_err(|_| WRONG)?;
            link.next.push(Next(node, queue));
        }
        for _ in 0..reader.number(1)? {
            link.counts.push(Counts(reader.number(4)? as u32, reader.number(4)? as u32));
        }
        Ok(link)
    }
}
