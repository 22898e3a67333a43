#pragma once

#include <optional>
#include <random>
#include <string>
#include <vector>

#include "gossip/paxos.h"
#include "gossip/state.h"

// The chain of epochs: every config is decided by the voters of the one before it (Lamport, Malkhi, Zhou,
// "Reconfiguring a State Machine", 2010, with alpha = 1). There is no leader; any member may propose.
//
// Intuition: all that the cluster ever agrees on is the next link of one chain. A node that lags pulls the links that
// it lacks and checks that each names the hash of the one before. A node that has learnt config e answers every
// question about an older instance with the chain itself, never with a promise: so nobody can be talked into deciding
// the past again.
//
// Duties of the caller, in this order, after every call: (1) if `persist` is set make `state()` durable; (2) send
// `send`; (3) act on `adopted`. Nothing of (2) and (3) may start before (1) is done.
//
// Invariants: durable promised ballots and the head never go back; a vote in the instance after head is given only
// when head is durable; own rounds are counted up durably before they are used.
namespace ringagent {

struct ChainSettings {
  std::string cluster;               // [cluster] of the settings
  std::string name;                  // this node
  std::vector<std::string> initial;  // [ring] initial; empty where the node does not form a ring
};

struct ChainOut {
  bool persist = false;
  std::vector<Outgoing> send;   // heads are filled in by the caller
  std::vector<Config> adopted;  // new heads in order, the last one is head()
  std::vector<std::string> log;
};

// The acceptor that a name stands for at formation, before its id is decided.
NodeId formation_acceptor(std::string_view cluster, std::string_view name);

// The class of a member that was lost when the quorum was forced.
inline constexpr const char* kLost = "lost";
// Whose agreement made this forced config: all that were not lost with it.
std::vector<NodeId> survivors_of(const Config& forced);

class Chain {
 public:
  Chain(DurableState state, ChainSettings settings, std::uint64_t seed);

  const DurableState& state() const { return state_; }
  const Config* head() const { return head_ ? &*head_ : nullptr; }
  Head head_id() const { return head_id_; }
  std::vector<Config> history() const;  // the stored chain, oldest first

  // True once a majority of the head's voters said that they know no newer head, since the last `unconfirm`.
  bool confirmed() const { return confirmed_ && !outdated_; }
  void unconfirm(Time now);

  // The ring has decided what only a newer version can read: this agent's head is an old one until it is upgraded, or until
  // the ring goes back to what it can read.
  bool outdated() const { return outdated_; }

  // Two different configs with the same number exist (a cloned or forced cluster): nothing may be acted upon.
  const std::string& broken() const { return broken_; }

  // Tries to make `next` the config after head. Generation, epoch and parent are set here. One proposal at a time: a
  // call while one runs is ignored.
  void propose(Config next, Time now, ChainOut& out);
  // Forces a new generation: decided by all `survivors`, whoever the voters of the head are (protocol.md section 6). Whoever
  // has promised in it votes on nothing else that follows this head.
  void propose_forced(Config next, std::vector<NodeId> survivors, Time now, ChainOut& out);
  // Is the config of this hash the head, or one before it that is still kept?
  bool holds(const Hash& hash) const;
  // Gives up this side's forced generation, where another one carries the same number: the head is the one before it, until
  // the other side's is learnt. False, with nothing changed, if there is nothing to give up.
  bool yield(ChainOut& out);
  // Nothing may be acted upon any more: another agent lives under this one's id.
  void declare_broken(const std::string& why);
  // `broken` because a generation was forced twice: only that can be yielded.
  bool split() const { return split_; }
  // This agent has promised its vote to a forced generation that has not been decided yet, and votes on nothing else.
  bool promised_forced() const { return head_ && state_.promised_instance == forced_instance(); }

  bool proposing() const { return proposal_.has_value(); }
  void give_up() { proposal_.reset(); }

  // Formation: asks all of `initial`, and builds config 1 from the candidates in their promises, in `home_order`.
  void propose_formation(std::vector<std::string> home_order, const ClusterId& cluster_id, std::string reason, Time now,
                         ChainOut& out);
  void set_candidate(Candidate candidate) { candidate_ = std::move(candidate); }
  // Config 1 will have one writer, with this lease; 0: all write.
  void set_lease(std::uint64_t lease_ms) { lease_ms_ = lease_ms; }
  // A changed [ring] initial after this node has voted on the old one; "" if all is well.
  std::string formation_conflict() const;
  // Another list than that of the settings, before there is a ring.
  void set_initial(std::vector<std::string> initial) { settings_.initial = std::move(initial); }
  // Forgets what this node has voted on forming a ring. Safe only if every node of that list does so: a person's word.
  void abandon_formation(ChainOut& out);

  // Any packet's head: pulls what is newer.
  void on_head(const NodeId& from, const HeadMark& head, Time now, ChainOut& out);
  // Prepare, Promise, Accept, Accepted, Reject, Decided, Pull, ConfirmHead, HeadConfirmed; others are ignored.
  void on_message(const NodeId& from, const Body& body, Time now, ChainOut& out);
  void tick(Time now, ChainOut& out);
  Time next_due() const;

  // Small durable facts of the node (who set read_only and the like), kept in the same store.
  void set_marker(const std::string& key, const std::string& value, ChainOut& out);
  std::string marker(const std::string& key) const;

  // All that the next steps depend on, but for jitter and the length of waits: for a search that must know equal chains.
  std::string fingerprint(Time now) const;

 private:
  struct Proposal {
    std::optional<Proposer> proposer;  // none while backing off
    Config next;
    bool formation = false;
    std::vector<std::string> home_order;
    Time started{0};
    Time due{0};  // resend, or the end of the back-off
    Duration backoff{0};
    bool finishing = false;         // completes somebody's accepted value
    std::vector<NodeId> survivors;  // of a forced generation: all of them must agree; empty: the voters decide
  };

  void persist(ChainOut& out);
  Instance instance() const;
  Instance forced_instance() const;
  std::vector<NodeId> acceptors() const;
  std::vector<NodeId> asked() const;  // by the present proposal
  std::size_t quorum() const;
  std::optional<NodeId> own_acceptor(const Instance& which) const;
  AcceptorState acceptor_state(const Instance& which) const;
  Instance voted_instance() const;
  void store_acceptor(const Instance& which, const AcceptorState& acceptor, ChainOut& out);
  bool serves(const NodeId& from, const Instance& asked, Time now, ChainOut& out);
  void set_head(Config config, const std::string& bytes);
  bool drop_to_parent(const Config& config);
  void found_split(std::string why);
  bool holds_mark(std::uint32_t mark) const;
  bool fresh(const NodeId& acceptor, const StoreVersion& version, ChainOut& out);

  void propose_next(Config next, std::vector<NodeId> survivors, Time now, ChainOut& out);
  void start_ballot(Time now, ChainOut& out);
  void send_round(const std::vector<NodeId>& to, Time now, ChainOut& out);
  void choose_value(Time now, ChainOut& out);
  std::optional<Config> formation_value(ChainOut& out) const;
  void chosen(Time now, ChainOut& out);
  bool adopt(const std::string& bytes, ChainOut& out);
  bool fits(const Config& config, ChainOut& out) const;
  bool answer_from_chain(const NodeId& from, const Instance& asked, Time now, ChainOut& out);
  void broadcast_head(const Config& before, ChainOut& out);
  void check_confirmed(Time now, ChainOut& out);
  Time finish_due() const;

  void handle(const NodeId& from, const Prepare& m, Time now, ChainOut& out);
  void handle(const NodeId& from, const Promise& m, Time now, ChainOut& out);
  void handle(const NodeId& from, const Accept& m, Time now, ChainOut& out);
  void handle(const NodeId& from, const Accepted& m, Time now, ChainOut& out);
  void handle(const NodeId& from, const Reject& m, Time now, ChainOut& out);
  void handle(const NodeId& from, const Decided& m, Time now, ChainOut& out);
  void handle(const NodeId& from, const Pull& m, Time now, ChainOut& out);
  void handle(const NodeId& from, const ConfirmHead& m, Time now, ChainOut& out);
  void handle(const NodeId& from, const HeadConfirmed& m, Time now, ChainOut& out);
  template <class Other>
  void handle(const NodeId&, const Other&, Time, ChainOut&) {}

  DurableState state_;
  ChainSettings settings_;
  std::mt19937_64 random_;
  std::optional<Config> head_;
  Head head_id_;
  Candidate candidate_;
  std::uint64_t lease_ms_ = 0;
  std::string broken_;
  bool split_ = false;
  bool outdated_ = false;

  std::optional<Proposal> proposal_;
  std::optional<Time> accepted_since_;  // an accepted value of the head's instance waits to be decided since
  Time pull_due_{0};

  bool confirmed_ = false;
  std::uint64_t confirm_nonce_ = 0;
  Time confirm_due_{0};
  std::set<NodeId> confirmed_by_;
};

}  // namespace ringagent
