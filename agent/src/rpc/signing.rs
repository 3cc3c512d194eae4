//! `signet.v1.Signing`.

use std::pin::Pin;

use signet_proto::v1::{self, sign_batch_response::Result as BatchResult, signing_server};
use signet_tuf::{Digest, Gun, Version};
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};

use super::{Services, optional_path, status};
use crate::{
    guard::{self, EvidenceBytes, Shown},
    sign::{self, SignError, Signed},
};

#[tonic::async_trait]
impl signing_server::Signing for Services {
    async fn preview(&self, request: Request<v1::PreviewRequest>) -> Result<Response<v1::PreviewResponse>, Status> {
        self.caller(&request)?;
        let asked = request.into_inner().request.unwrap_or_default();
        let asked = decode(asked).map_err(status::status)?;
        let (preview, digest) = self.signing.preview(asked).await.map_err(status::status)?;
        let refusal = preview.refusal.map(SignError::Refused);
        let findings = refusal.iter().flat_map(SignError::metadata).filter(|(name, _)| *name == "findings");
        Ok(Response::new(v1::PreviewResponse {
            next_version: preview.next_version,
            findings: findings.flat_map(|(_, codes)| split(&codes)).collect(),
            refusal: refusal.as_ref().map(status::refusal),
            digest: digest.to_string(),
        }))
    }

    async fn sign(&self, request: Request<v1::SignRequest>) -> Result<Response<v1::SignResponse>, Status> {
        let connection = self.caller(&request)?;
        let asked = decode(request.into_inner()).map_err(status::status)?;
        let signing = self.signing.clone();
        let signed = self.finish_signing(async move { signing.sign(connection, asked).await }).await?;
        Ok(Response::new(encode(signed)))
    }

    type SignBatchStream = Pin<Box<dyn Stream<Item = Result<v1::SignBatchResponse, Status>> + Send>>;

    async fn sign_batch(
        &self,
        request: Request<Streaming<v1::SignRequest>>,
    ) -> Result<Response<Self::SignBatchStream>, Status> {
        let connection = self.caller(&request)?;
        let services = self.clone();
        let answers = request.into_inner().then(move |asked| {
            let (services, connection) = (services.clone(), connection.clone());
            async move {
                let asked = asked?;
                let signing = services.signing.clone();
                let work = async move {
                    // A refusal is an answer in the stream, not the end of it.
                    let result = match decode(asked) {
                        Ok(asked) => signing.sign(connection, asked).await,
                        Err(error) => Err(error),
                    };
                    Ok(match result {
                        Ok(signed) => BatchResult::Response(encode(signed)),
                        Err(error) => BatchResult::Refusal(status::refusal(&error)),
                    })
                };
                let result = services.finish_signing(work).await?;
                Ok(v1::SignBatchResponse { result: Some(result) })
            }
        });
        Ok(Response::new(Box::pin(answers)))
    }

    async fn published(
        &self,
        request: Request<v1::PublishedRequest>,
    ) -> Result<Response<v1::PublishedResponse>, Status> {
        let connection = self.caller(&request)?;
        let v1::PublishedRequest { gun, evidence } = request.into_inner();
        let refused = self.signing.refusal_of(&connection, "published", &gun, "root");
        let recorded = async {
            let (gun, shown) = root_evidence(&gun, evidence)?;
            Ok(self.signing.ledger.published(connection.principal().clone(), gun, shown).await?)
        };
        let recorded = recorded.await;
        self.signing.note(refused, &recorded);
        let record = recorded.map_err(status::status)?;
        Ok(Response::new(v1::PublishedResponse { record }))
    }

    async fn abandon(&self, request: Request<v1::AbandonRequest>) -> Result<Response<v1::AbandonResponse>, Status> {
        let connection = self.caller(&request)?;
        let v1::AbandonRequest { gun, version, digest, evidence } = request.into_inner();
        let refused = self.signing.refusal_of(&connection, "abandon", &gun, "root");
        let recorded = async {
            let (gun, shown) = root_evidence(&gun, evidence)?;
            let version = Version::new(version)
                .ok_or_else(|| SignError::BadRequest(format!("version: {version} is not in 1 to 2^53 - 1")))?;
            let digest = <[u8; 32]>::try_from(digest)
                .map_err(|_| SignError::BadRequest("digest: a SHA-256 has 32 bytes".to_owned()))?;
            let (ledger, principal) = (&self.signing.ledger, connection.principal().clone());
            Ok(ledger.abandon(principal, gun, version, Digest::from_bytes(digest), shown).await?)
        };
        let recorded = recorded.await;
        self.signing.note(refused, &recorded);
        let record = recorded.map_err(status::status)?;
        Ok(Response::new(v1::AbandonResponse { record }))
    }
}

fn decode(request: v1::SignRequest) -> Result<sign::Request, SignError> {
    if request.pouf() != v1::Pouf::Notary1 {
        return Err(crate::intent::Malformed::Pouf.into());
    }
    Ok(sign::Request {
        gun: request.gun,
        role: request.role,
        keys: request.keys,
        signed: request.signed,
        evidence: evidence(request.evidence),
        acknowledged: request.acknowledged.into_iter().map(|given| (given.finding, given.digest)).collect(),
        trust_dir: optional_path(request.trust_dir),
    })
}

fn evidence(shown: Option<v1::Evidence>) -> EvidenceBytes {
    let v1::Evidence { root_chain, delegating, current, current_version } = shown.unwrap_or_default();
    EvidenceBytes { root_chain, delegating, current, current_version }
}

fn root_evidence(gun: &str, shown: Option<v1::Evidence>) -> Result<(Gun, Shown), SignError> {
    let gun = Gun::parse(gun).map_err(|error| SignError::BadRequest(format!("gun: {error}")))?;
    let shown = guard::verify_roots(&gun, &evidence(shown))?;
    Ok((gun, shown))
}

fn encode(signed: Signed) -> v1::SignResponse {
    v1::SignResponse {
        signatures: signed
            .signatures
            .into_iter()
            .map(|made| v1::Signature {
                key_id: made.key_id.to_string(),
                method: made.method.as_str().to_owned(),
                sig: made.sig,
                place: made.place,
            })
            .collect(),
        missing: signed
            .missing
            .into_iter()
            .map(|missing| v1::MissingKey {
                key_id: missing.key_id.to_string(),
                reason: missing.reason.to_string(),
                place: missing.place,
            })
            .collect(),
        decision: signed.decision.to_owned(),
        record: signed.record,
        notices: signed.notices,
    }
}

fn split(codes: &str) -> Vec<String> {
    codes.split(',').map(str::to_owned).collect()
}
