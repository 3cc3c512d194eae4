//! `signet.v1.Audit`.

use std::pin::Pin;

use signet_proto::v1::{self, audit_server};
use tokio::sync::mpsc;
use tokio_stream::{Stream, wrappers::ReceiverStream};
use tonic::{Request, Response, Status};

use super::{Services, status};
use crate::{
    ledger::{Ledger, LedgerError},
    log,
};

/// Records read from the ledger at once.
const PAGE: u64 = 256;

#[tonic::async_trait]
impl audit_server::Audit for Services {
    type ReadStream = Pin<Box<dyn Stream<Item = Result<v1::AuditRecord, Status>> + Send>>;

    async fn read(&self, request: Request<v1::ReadAuditRequest>) -> Result<Response<Self::ReadStream>, Status> {
        self.caller(&request)?;
        let asked = request.into_inner();
        let ledger = self.signing.ledger.clone();
        let size = ledger.head().await.map_err(status::status)?.size;
        let from = if asked.tail { size.saturating_sub(asked.limit) } else { asked.from };
        let left = if asked.limit == 0 || asked.follow { u64::MAX } else { asked.limit };
        let (sender, records) = mpsc::channel(64);
        let ending = self.ending.clone();
        self.tasks.spawn(async move {
            let sent = tokio::select! {
                sent = send(&ledger, from, left, asked.follow, &sender) => sent,
                () = ending.cancelled() => Ok(()),
            };
            if let Err(error) = sent {
                // Whoever reads may be gone, and then nobody wants the error.
                drop(sender.send(Err(status::status(error))).await);
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(records))))
    }

    async fn checkpoint(
        &self,
        request: Request<v1::CheckpointRequest>,
    ) -> Result<Response<v1::CheckpointResponse>, Status> {
        self.caller(&request)?;
        let head = self.signing.ledger.head().await.map_err(status::status)?;
        Ok(Response::new(v1::CheckpointResponse {
            ledger_id: hex::encode(head.ledger_id),
            size: head.size,
            root_hash: head.root.to_vec(),
        }))
    }

    async fn inclusion_proof(
        &self,
        request: Request<v1::InclusionProofRequest>,
    ) -> Result<Response<v1::ProofResponse>, Status> {
        self.caller(&request)?;
        let v1::InclusionProofRequest { seq, size } = request.into_inner();
        let leaves = self.leaves(size).await?;
        let proof = usize::try_from(seq).ok().and_then(|seq| log::inclusion_proof(&leaves, seq));
        answer(proof, "seq", &format!("there is no record {seq} among {size}"))
    }

    async fn consistency_proof(
        &self,
        request: Request<v1::ConsistencyProofRequest>,
    ) -> Result<Response<v1::ProofResponse>, Status> {
        self.caller(&request)?;
        let v1::ConsistencyProofRequest { first_size, second_size } = request.into_inner();
        let leaves = self.leaves(second_size).await?;
        let proof = usize::try_from(first_size).ok().and_then(|size| log::consistency_proof(&leaves, size));
        answer(proof, "first_size", &format!("{first_size} is not in 1 to {second_size}"))
    }
}

impl Services {
    /// The leaves of the log when it had `size` records.
    async fn leaves(&self, size: u64) -> Result<Vec<log::Hash>, Status> {
        let mut leaves = self.signing.ledger.leaves().await.map_err(status::status)?;
        match usize::try_from(size) {
            Ok(size) if size <= leaves.len() => {
                leaves.truncate(size);
                Ok(leaves)
            }
            _ => Err(status::bad_request("size", format!("the log has {} records, not {size}", leaves.len()))),
        }
    }
}

async fn send(
    ledger: &Ledger,
    mut from: u64,
    mut left: u64,
    follow: bool,
    to: &mpsc::Sender<Result<v1::AuditRecord, Status>>,
) -> Result<(), LedgerError> {
    let mut grown = ledger.grown();
    loop {
        grown.mark_unchanged();
        let page = ledger.read(from, left.min(PAGE)).await?;
        for entry in &page {
            let record = v1::AuditRecord { seq: entry.seq, body: entry.body.clone() };
            if to.send(Ok(record)).await.is_err() {
                return Ok(());
            }
            from = entry.seq.saturating_add(1);
            left = left.saturating_sub(1);
        }
        if left == 0 || (page.is_empty() && !follow) {
            return Ok(());
        }
        if page.is_empty() {
            tokio::select! {
                changed = grown.changed() => if changed.is_err() { return Ok(()) },
                () = to.closed() => return Ok(()),
            }
        }
    }
}

fn answer(proof: Option<Vec<log::Hash>>, field: &str, why_not: &str) -> Result<Response<v1::ProofResponse>, Status> {
    match proof {
        Some(hashes) => {
            let hashes = hashes.into_iter().map(|hash| hash.to_vec()).collect();
            Ok(Response::new(v1::ProofResponse { hashes }))
        }
        None => Err(status::bad_request(field, why_not)),
    }
}
