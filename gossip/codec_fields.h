#pragma once

#include "gossip/codec.h"
#include "gossip/codec_wire.h"

// The wire format in one place: the fields of every struct, in the order in which they travel.
//
// To add one: append it to its struct in message.h and here as `a.appended([&] { a(x.field); })`, so that a
// packet of an older agent, which ends before it, still reads. `a.appended(..., present)` leaves the rest out where it says
// nothing; nothing may be appended behind it then that does say something. `a.later` ends what others hand on: they hand on
// all of it. What they may still lose is a number that they do not know (a choice with a fallback) and what is appended to a
// struct within it: neither counts when a node looks whether a record of its own is its own (facts.cpp, lasting_part).
namespace ringagent {

template <class T, class S>
concept Of = std::same_as<std::remove_const_t<T>, S>;  // S when reading, const S when writing

template <class A, Of<Address> T>
void fields(A& a, T& x) {
  a.text(x.host, kNameBytesMax);
  a(x.port);
}

template <class A, Of<Stamp> T>
void fields(A& a, T& x) {
  a(x.boot);
  a(x.seq);
}

template <class A, Of<Head> T>
void fields(A& a, T& x) {
  a(x.generation);
  a(x.epoch);
  a(x.hash);
}

// ---------------------------------------------------------------- facts

template <class A, Of<LinkFact> T>
void fields(A& a, T& x) {
  a(x.source);
  a(x.address);
  a(x.io);
  a(x.sql);
  a(x.error_number);
  a.text(x.error, kTextBytesMax);
  a.text(x.transaction, kTextBytesMax);
  a(x.heard_ms);
  a(x.verified);
}

template <class A, Of<EdgeFact> T>
void fields(A& a, T& x) {
  a(x.to);
  a.choice(x.state, EdgeState::silent, EdgeState::unknown);
}

template <class A, Of<ProblemFact> T>
void fields(A& a, T& x) {
  a(x.severity);
  a.text(x.code, kNameBytesMax);
  a.text(x.text, kTextBytesMax);
}

template <class A, Of<NodeRecord> T>
void fields(A& a, T& x) {
  a(x.node);
  a(x.version);
  a.text(x.name, kNameBytesMax);
  a.text(x.agent_version, kNameBytesMax);
  a(x.leaving);
  a(x.head);
  a(x.config_fingerprint);
  a.choice(x.health, MysqlHealth::none, MysqlHealth::unknown);
  a.text(x.health_why, kTextBytesMax);
  a.text(x.unsafe, kTextBytesMax);
  a(x.started_unix_s);
  a(x.flavor);
  a.text(x.mysql_version, kNameBytesMax);
  a(x.server_id);
  a.text(x.server_uuid, kNameBytesMax);
  a(x.domain_id);
  a(x.mysql);
  a(x.gossip);
  a.position(x.executed);
  a.position(x.purged);
  a.text(x.binlog_file, kTextBytesMax);
  a(x.binlog_pos);
  a(x.read_only);
  a(x.read_only_by_agent);
  a.list(x.links, kLinksMax);
  a.list(x.edges, kMembersMax);
  a.list(x.problems, kProblemsMax);
  a.text(x.blocked, kTextBytesMax);
  a.text(x.foreign, kTextBytesMax);
  a(x.acted_epoch);
  a.choice(x.phase, Phase::copying, Phase::none);
  a(x.rejoin_in_ms);
  a.text(x.stuck, kTextBytesMax);
  a.position(x.received);
  a.text(x.starved, kTextBytesMax);
  a.texts(x.keys, kKeyNamesMax, kNameBytesMax);
  a.appended(
      [&] {
        a(x.one_writer);
        a(x.closed_epoch);
      },
      x.one_writer || x.closed_epoch != 0 || x.later.count != 0);
  a.later(x.later);
}

template <class A, Of<DigestEntry> T>
void fields(A& a, T& x) {
  a(x.node);
  a(x.version);
}

template <class A, Of<Facts> T>
void fields(A& a, T& x) {
  a.list(x.records, kRecordsMax);
  a.list(x.digest, kMembersMax);
  a(x.want);
}

template <class A, Of<AskRecord> T>
void fields(A& a, T& x) {
  a(x.nonce);
}

// ---------------------------------------------------------------- liveness

template <class A, Of<Incarnation> T>
void fields(A& a, T& x) {
  a(x.boot);
  a(x.refutation);
}

template <class A, Of<Rumour> T>
void fields(A& a, T& x) {
  a(x.about);
  a.choice(x.state, Liveness::left);  // no state is safe to guess
  a(x.incarnation);
  a(x.from);
}

template <class A, Of<Ping> T>
void fields(A& a, T& x) {
  a(x.seq);
  a(x.facts_mark);
  a.appended([&] { a.list(x.rumours, kRumoursMax); }, !x.rumours.empty());
}

template <class A, Of<Ack> T>
void fields(A& a, T& x) {
  a(x.seq);
  a.appended([&] { a.list(x.rumours, kRumoursMax); }, !x.rumours.empty());
}

template <class A, Of<Turn> T>
void fields(A& a, T& x) {
  a(x.seq);
  a(x.held);
  a(x.facts_mark);
  a.appended([&] { a.list(x.rumours, kRumoursMax); }, !x.rumours.empty());
}

template <class A, Of<PingReq> T>
void fields(A& a, T& x) {
  a(x.seq);
  a(x.target);
  a.list(x.rumours, kRumoursMax);
}

template <class A, Of<PingReqAnswer> T>
void fields(A& a, T& x) {
  a(x.seq);
  a(x.target);
  a(x.ok);
}

// ---------------------------------------------------------------- consensus

template <class A, Of<Ballot> T>
void fields(A& a, T& x) {
  a(x.round);
  a(x.node);
}

template <class A, Of<Instance> T>
void fields(A& a, T& x) {
  a(x.generation);
  a(x.epoch);
  a(x.parent);
}

template <class A, Of<Candidate> T>
void fields(A& a, T& x) {
  a(x.id);
  a.text(x.name, kNameBytesMax);
  a.choice(x.role, Role::witness);  // a role decides who may vote: none is safe to guess
  a(x.gossip);
  a(x.mysql);
  a(x.server_id);
  a.text(x.server_uuid, kNameBytesMax);
}

template <class A, Of<StoreVersion> T>
void fields(A& a, T& x) {
  a(x.boot);
  a(x.seq);
}

template <class A, Of<Prepare> T>
void fields(A& a, T& x) {
  a(x.instance);
  a(x.ballot);
  a(x.store);
}

template <class A, Of<Promise> T>
void fields(A& a, T& x) {
  a(x.instance);
  a(x.ballot);
  a(x.acceptor);
  a(x.accepted_ballot);
  a.blob(x.accepted_value, kConfigBytesMax);
  a.maybe(x.candidate);
  a(x.store);
}

template <class A, Of<Accept> T>
void fields(A& a, T& x) {
  a(x.instance);
  a(x.ballot);
  a.blob(x.value, kConfigBytesMax);
  a(x.store);
}

template <class A, Of<Accepted> T>
void fields(A& a, T& x) {
  a(x.instance);
  a(x.ballot);
  a(x.acceptor);
  a(x.store);
}

template <class A, Of<Reject> T>
void fields(A& a, T& x) {
  a(x.instance);
  a(x.ballot);
  a(x.promised);
}

template <class A, Of<Decided> T>
void fields(A& a, T& x) {
  a.blobs(x.configs, kChainPartMax, kConfigBytesMax);
}

template <class A, Of<Pull> T>
void fields(A& a, T& x) {
  a(x.head);
}

template <class A, Of<ConfirmHead> T>
void fields(A& a, T& x) {
  a(x.nonce);
  a(x.head);
}

template <class A, Of<HeadConfirmed> T>
void fields(A& a, T& x) {
  a(x.nonce);
  a(x.head);
}

// ---------------------------------------------------------------- canvass and formation

template <class A, Of<CanvassItem> T>
void fields(A& a, T& x) {
  a(x.node);
  a.choice(x.evidence, Evidence::writer, Evidence::none);
}

template <class A, Of<Canvass> T>
void fields(A& a, T& x) {
  a(x.nonce);
  a(x.instance);
  a.list(x.items, kMembersMax);
}

template <class A, Of<CanvassAnswer> T>
void fields(A& a, T& x) {
  a(x.nonce);
  a.choice(x.opinion, Opinion::abstain, Opinion::abstain);
  a.text(x.why, kTextBytesMax);
}

template <class A, Of<Hello> T>
void fields(A& a, T& x) {
  a(x.candidate);
  a.texts(x.initial, kMembersMax, kNameBytesMax);
  a(x.record);
  a(x.answer);
  a(x.join);
  a.text(x.after, kNameBytesMax);
}

// ---------------------------------------------------------------- gossip keys

template <class A, Of<KeyEntry> T>
void fields(A& a, T& x) {
  a.text(x.id, kNameBytesMax);
  a(x.version);
  a(x.removed);
  a.blob(x.bytes, kNameBytesMax);
}

template <class A, Of<KeyBook> T>
void fields(A& a, T& x) {
  a.list(x.entries, kKeyEntriesMax);
  a.text(x.in_use, kNameBytesMax);
  a(x.in_use_version);
}

// ---------------------------------------------------------------- the lease of the one writer

template <class A, Of<LeaseAsk> T>
void fields(A& a, T& x) {
  a(x.instance);
  a(x.seq);
}

template <class A, Of<LeaseGrant> T>
void fields(A& a, T& x) {
  a(x.instance);
  a(x.seq);
  a(x.granted);
}

// The head is not an array of its own: it travels in every packet.
template <class A, Of<Message> T>
void fields(A& a, T& x) {
  a(x.head.generation);
  a(x.head.epoch);
  a(x.head.mark);
  a.one_of(x.body);
}

// ---------------------------------------------------------------- on disk

using PeerSeen = std::pair<NodeId, StoreVersion>;
using Marker = std::pair<std::string, std::string>;

template <class A, Of<PeerSeen> T>
void fields(A& a, T& x) {
  a(x.first);
  a(x.second);
}

template <class A, Of<Marker> T>
void fields(A& a, T& x) {
  a.text(x.first, kNameBytesMax);
  a.text(x.second, kMarkerBytesMax);
}

template <class A, Of<DurableState> T>
void fields(A& a, T& x) {
  a(x.self);
  a(x.boot);
  a(x.seq);
  a(x.own_round);
  a(x.promised_instance);
  a(x.promised);
  a(x.accepted_instance);
  a(x.accepted);
  a.blob(x.accepted_value, kConfigBytesMax);
  a.blobs(x.chain, kChainKept, kConfigBytesMax);
  a.list(x.peers_seen, kPeersSeenMax);
  a(x.formation_parent);
  a.texts(x.formation_initial, kMembersMax, kNameBytesMax);
  a.list(x.markers, kMarkersMax);
}

}  // namespace ringagent
