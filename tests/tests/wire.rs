//! What other programs than `signet` meet: the gRPC interface as it is on the wire.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::manual_is_multiple_of,
    reason = "sums of a test, written as the RFC writes them"
)]

use anyhow::{Context, Result};
use signet_proto::v1::{
    self, approvals_client::ApprovalsClient, audit_client::AuditClient, sign_batch_response::Result as Answer,
    signing_client::SigningClient,
};
use signet_tests::{Stage, Wire};
use signet_tuf::Digest;
use tonic::Code;
use tonic::transport::Channel;

const GUN: &str = "example.com/acme/wire";

#[test]
fn a_preview_tells_the_next_version_and_claims_nothing() -> Result<()> {
    on_the_wire(async |wire, channel| {
        let mut client = SigningClient::new(channel);
        let ask = |version, name| v1::PreviewRequest { request: Some(wire.request(wire.targets(version, name))) };
        for name in ["one", "another"] {
            let free = client.preview(ask(3, name)).await?.into_inner();
            assert_eq!((free.next_version, free.refusal), (3, None));
        }
        let taken = client.preview(ask(2, "late")).await?.into_inner();
        assert_eq!((taken.next_version, reason(taken.refusal)?.as_str()), (3, "VERSION_CONFLICT"));
        let signed = client.sign(wire.request(wire.targets(3, "one"))).await?.into_inner();
        assert_eq!((signed.decision.as_str(), signed.signatures.len()), ("next", 1));
        Ok(())
    })
}

#[test]
fn a_batch_goes_on_after_a_refusal() -> Result<()> {
    on_the_wire(async |wire, channel| {
        let asked = [(3, "a"), (3, "b"), (3, "a"), (4, "c")];
        let requests: Vec<_> = asked.iter().map(|(version, name)| wire.request(wire.targets(*version, name))).collect();
        let mut answers = SigningClient::new(channel).sign_batch(tokio_stream::iter(requests)).await?.into_inner();
        let mut told = Vec::new();
        while let Some(answer) = answers.message().await? {
            told.push(match answer.result.context("an answer")? {
                Answer::Response(signed) => signed.decision,
                Answer::Refusal(refusal) => refusal.reason,
            });
        }
        assert_eq!(told, ["next", "VERSION_CONFLICT", "repeat", "next"]);
        Ok(())
    })
}

#[test]
fn bytes_that_are_not_canonical_are_not_signed() -> Result<()> {
    on_the_wire(async |wire, channel| {
        let mut client = SigningClient::new(channel);
        let good = wire.targets(3, "a");
        let bad = [
            good.replace(":{", ": {"),
            good.replace("\"Targets\"", "\"Root\""),
            good.replace("{\"_type\"", "{\"_extra\":1,\"_type\""),
            "not even JSON".to_owned(),
            String::new(),
        ];
        for signed in bad {
            let refusal = client.sign(wire.request(signed.clone())).await.expect_err(&signed);
            assert_eq!(refusal.code(), Code::InvalidArgument, "{signed}: {refusal}");
        }
        client.sign(wire.request(good)).await?;
        Ok(())
    })
}

#[test]
fn a_proof_joins_each_record_to_the_tree() -> Result<()> {
    on_the_wire(async |_, channel| {
        let mut client = AuditClient::new(channel);
        let head = client.checkpoint(v1::CheckpointRequest {}).await?.into_inner();
        let mut records =
            client.read(v1::ReadAuditRequest { limit: head.size, ..Default::default() }).await?.into_inner();
        let mut seen = 0;
        while let Some(record) = records.message().await? {
            let ask = v1::InclusionProofRequest { seq: record.seq, size: head.size };
            let proof = client.inclusion_proof(ask).await?.into_inner().hashes;
            assert_eq!(climb(leaf(&record.body), record.seq, head.size, &proof), head.root_hash, "{}", record.seq);
            seen += 1;
        }
        assert_eq!(seen, head.size);
        let beyond = v1::InclusionProofRequest { seq: head.size, size: head.size };
        assert_eq!(client.inclusion_proof(beyond).await.expect_err("no such record").code(), Code::InvalidArgument);
        let whole = v1::ConsistencyProofRequest { first_size: head.size, second_size: head.size };
        assert!(client.consistency_proof(whole).await?.into_inner().hashes.is_empty());
        let none = v1::ConsistencyProofRequest { first_size: 0, second_size: head.size };
        assert_eq!(client.consistency_proof(none).await.expect_err("no prefix").code(), Code::InvalidArgument);
        Ok(())
    })
}

#[test]
fn what_this_version_does_not_serve_says_so() -> Result<()> {
    on_the_wire(async |_, channel| {
        let list = ApprovalsClient::new(channel).list(v1::ListProposalsRequest {}).await;
        assert_eq!(list.expect_err("not served").code(), Code::Unimplemented);
        Ok(())
    })
}

fn on_the_wire(story: impl AsyncFn(&Wire, Channel) -> Result<()>) -> Result<()> {
    let stage = Stage::with_token()?;
    let _agent = stage.home.start_agent()?;
    let wire = Wire::prepare(&stage, GUN)?;
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(async { story(&wire, wire.connect().await?).await })
}

fn reason(refusal: Option<v1::Refusal>) -> Result<String> {
    Ok(refusal.context("a refusal")?.reason)
}

/// RFC 6962 section 2.1.
fn leaf(body: &[u8]) -> Vec<u8> {
    Digest::of(&[&[0], body].concat()).as_bytes().to_vec()
}

/// RFC 9162 section 2.1.3.2, from a leaf to the root.
fn climb(leaf: Vec<u8>, mut index: u64, size: u64, path: &[Vec<u8>]) -> Vec<u8> {
    let (mut node, mut last) = (leaf, size - 1);
    let join = |left: &[u8], right: &[u8]| Digest::of(&[&[1], left, right].concat()).as_bytes().to_vec();
    for sibling in path {
        if index % 2 == 1 || index == last {
            node = join(sibling, &node);
            while index % 2 == 0 && index != 0 {
                index /= 2;
                last /= 2;
            }
        } else {
            node = join(&node, sibling);
        }
        index /= 2;
        last /= 2;
    }
    node
}
