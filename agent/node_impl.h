#pragma once

#include <deque>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "agent/command.h"
#include "agent/formation.h"
#include "agent/lease.h"
#include "agent/local_server.h"
#include "agent/node.h"
#include "agent/policy.h"
#include "agent/repair.h"
#include "gossip/chain.h"
#include "gossip/facts.h"
#include "gossip/key_book.h"
#include "gossip/swim.h"

// The inside of Node. Its functions are spread over eleven files by what they are about:
//   node.cpp         dispatch of events, packets, time
//   node_join.cpp    formation, init, join
//   node_ring.cpp    campaigns (wish -> canvass -> Paxos), the voter's answers, commands
//   node_force.cpp   a forced quorum
//   node_keys.cpp    the gossip keys: what the others are told, commands
//   node_server.cpp  the own server: poll, reconcile, repair
//   node_start.cpp   the check of every start of mysqld
//   node_ways.cpp    the way back into the ring, the planned way out
//   node_record.cpp  what all shall know of the own server
//   node_writer.cpp  the one writer: lease, beginning and end of a tenure
//   node_status.cpp  the snapshot
namespace ringagent {

class Node::Impl {
 public:
  Impl(NodeSettings settings, const DurableState& state, std::uint64_t seed, Time now);

  void reload(NodeSettings changed);
  Effects step(Event event, Time now);
  Time next_due() const;
  Snapshot snapshot(Time now) const;

  NodeSettings settings;
  Chain chain;

 private:
  // ---- node.cpp
  void handle(const Tick&) {}
  void handle(const Packet& packet);
  void handle(const Polled& polled);
  void handle(const ServerGone& gone);
  void handle(const Ran& ran);
  void handle(const Looked& looked);
  void handle(const PortAnswered& answered);
  void handle(const LoopLagged& lagged);
  void handle(const Command& command);
  void handle(const UnknownKey& unknown);
  bool changes_nothing(const Event& event) const;
  bool says_nothing_new(const Packet& packet) const;
  bool shows_nothing_new(const Polled& polled) const;
  void tick_gossip();
  void set_marker(const std::string& key, const std::string& value);
  void settle_step();  // what follows from whatever the event changed
  ChainOut chain_out() const;
  void take(ChainOut out);
  void on_adopted(const Config& config);
  void ask_voters(const std::vector<NodeId>& all);
  void watch_quorum();
  void watch_clones();
  bool agent_lives(const NodeId& member) const;  // as far as gossip knows
  bool counts_as_reachable(const NodeId& id) const;
  void finish_sends();
  Address address_of(const NodeId& id) const;
  std::string name_of(const NodeId& id) const;
  static std::string ring_text(const Config& config);  // "db1 -> db2"
  void send(const NodeId& to, Body body);
  void log(LogLevel level, std::string text);
  const NodeId& self() const { return chain.state().self; }
  const Member* own_member() const { return chain.head() ? chain.head()->find(self()) : nullptr; }
  void keep_decided_role();

  // ---- node_join.cpp
  Candidate own_candidate() const;
  Hello own_hello() const;
  void say_hello();
  void answer_hello(const Packet& packet, const Hello& hello, Body body);
  void on_hello(const Packet& packet, const Hello& hello);
  void on_applicant(const Packet& packet, const Hello& hello);
  void on_joiner(const Packet& packet, const Hello& hello);
  void on_refusal(const CanvassAnswer& answer);
  void on_ring_of_others(const Decided& decided);
  void add_applicants(View& view) const;
  void start_founding(const Command& command);
  void run_founding();
  void end_founding(bool ok, const std::string& text);
  std::string where_it_stands() const;
  void try_to_form();

  // ---- node_ring.cpp
  View view() const;
  LinkSays link_says() const;
  void note_votes(const View& v);
  void run_campaign();
  void start_canvass();
  void judge_canvass();
  void on_canvass(const NodeId& from, const Canvass& canvass);
  void on_canvass_answer(const NodeId& from, const CanvassAnswer& answer);
  void answer_canvasses();
  void run_commands();
  void probe(const NodeId& id);
  void look(const NodeId& id, Duration period);
  void look_around();
  bool tests_edges() const;

  // ---- node_force.cpp
  bool other_side_answers() const;
  bool has_seen_its_server(const Member& member) const;
  void start_forcing(const Command& command);
  void run_forcing();
  CanvassAnswer watch_lost(const Canvass& canvass);

  // ---- node_keys.cpp
  struct KeyCommand {
    Command command;  // without the key itself
    KeyId key{};
    Time deadline{0};
  };
  void settle_keys();
  void note_key_change(const KeyRing& before);
  void hear_of_keys(const KeyBook& book);
  void start_key_command(const Command& command);
  std::string install_refused(const Key& key) const;
  std::string use_refused(const KeyId& id) const;
  std::string removal_refused(const KeyId& id, bool force) const;
  void run_key_commands();
  bool does_as_told(const std::string& what, const NodeId& member, const std::string& id) const;
  void spread_keys();
  void note_keys();
  void add_key_problems(Snapshot& snapshot, Time now) const;
  std::vector<std::string> keys_of(const NodeId& member) const;

  // ---- node_server.cpp
  static constexpr Duration kLookUrgent{500'000};
  void poll_if_due();
  bool has_server() const;
  bool fence_without_quorum() const;
  void plan_repair();
  bool permits(Deed deed) const;
  void run_repair();
  Situation situation() const;
  const NodeRecord* word_of(const NodeId& source, NodeRecord& looked) const;
  bool end_unseen(const NodeId& id) const;
  void choose_source(Situation& s, std::deque<NodeRecord>& looked);
  bool member_well(const NodeId& id) const;

  // ---- node_start.cpp
  bool same_start(const std::string& marker) const;
  std::string start_name() const;
  void note_start();
  void lifted_read_only();
  bool heard_afresh(std::vector<const NodeRecord*>& others, std::deque<NodeRecord>& looked);
  std::vector<const NodeRecord*> those_who_return() const;
  void check_start();

  // ---- node_ways.cpp
  std::optional<std::string> position_of(const NodeId& id);
  void follow_way_back();
  void copy_ended();
  void follow_way_out();
  bool drained();

  // ---- node_record.cpp
  std::optional<std::int64_t> lags_by() const;
  Duration stuck_grace() const;
  void note_starving();
  std::string stuck_now() const;
  std::string starved_now() const;
  LinkFact link_fact(const Link& link) const;
  std::vector<ProblemFact> own_problems() const;
  NodeRecord own_record() const;
  void lint();
  void publish();
  void answer_asks();

  // ---- node_writer.cpp
  bool is_writer() const;
  void keep_lease();
  void on_lease_ask(const NodeId& from, const LeaseAsk& ask);
  void on_lease_answer(const NodeId& from, const LeaseGrant& answer);
  std::string tenure() const;
  bool tenure_begun() const;
  bool may_write() const;
  bool may_open() const;
  void follow_tenure();
  std::string why_not_begun();
  bool positions_told();
  void note_closed();

  // ---- node_status.cpp
  void add_writer_problems(Snapshot& snapshot) const;
  NodeView node_view(const Member& member, Time now) const;
  void add_problems(Snapshot& snapshot, Time now) const;
  std::string until_when(const Member& member, const NodeId& id, Time now) const;
  std::optional<std::int64_t> lag_of(const NodeId& replica, const NodeId& source, Time now) const;

  struct Seen {  // what is known of one other member besides its record
    EdgeState port = EdgeState::unknown;
    Time port_at{0};
    Time port_asked{0};
    bool port_open = false;  // a probe is under way
    bool answered_before = false;
    Time told_at{0};               // its own record came from itself, new or not
    std::optional<Time> heard_at;  // any packet of its agent
    std::optional<ServerState> looked;
    std::string look_error;
    Time looked_at{0};
    bool look_open = false;
    MysqlHealth health = MysqlHealth::unknown;
    Time health_since{0};
  };
  // An agent restarts under a higher boot counter; who goes on under a lower one is a copy, or the original of one.
  struct Lives {
    std::uint32_t boot = 0;
    Time since{0};
    std::optional<Time> older_heard;
    Address older_at;
  };
  struct Campaign {
    Wish wish;
    Time first_seen{0};
    bool canvassing = false;
    std::uint64_t nonce = 0;
    Time canvass_began{0};
    Time resend_due{0};
    std::optional<NodeId> needed;  // must_concur
    std::map<NodeId, CanvassAnswer> answers;
  };
  struct PendingCanvass {
    NodeId from;
    Canvass canvass;
    Time received{0};
  };
  struct PendingCommand {
    Command command;
    Time deadline{0};
  };
  // A forced quorum that this agent was asked for (protocol.md section 6).
  struct Forcing {
    Command command;
    std::vector<NodeId> lost;
    std::vector<NodeId> survivors;
    std::uint64_t nonce = 0;
    std::uint64_t epoch = 0;  // of the head that it follows
    bool proposed = false;
    Time began{0};
    Time ask_due{0};
    std::map<NodeId, CanvassAnswer> answers;
  };
  // `init` or `join`, until this agent has a ring.
  struct Founding {
    bool joins = false;
    std::vector<Address> at;  // join: of agents of the ring
    std::string after;        // join: behind whom
    Role role = Role::ring;
    std::vector<std::uint64_t> asked;  // commands that wait for the answer
    Time deadline{0};
  };
  struct HelloSeen {
    Hello hello;
    Time at{0};
    Address address;
  };

  Swim swim_;
  FactTable facts_;
  LocalServer server_;
  Repair repair_;
  std::mt19937_64 random_;

  // One step.
  Effects* fx_ = nullptr;
  Time now_{0};
  bool by_name_ = false;
  Time settled_until_{0};  // before that nothing follows from time alone but gossip and the next poll

  Time up_since_{0};  // since the start, or the last long pause
  std::map<NodeId, Seen> seen_;
  std::map<NodeId, Lives> lives_;
  void note_life(const Packet& packet);
  bool lives_twice(const NodeId& id) const;
  struct Standing {  // of a member in the config, and since when as far as this agent knows
    bool in = false;
    Time since{0};
    Absence absence = Absence::none;
    std::uint64_t absence_ms = 0;
    Time absent_since{0};
  };
  std::map<NodeId, Standing> standing_;
  std::optional<Time> rerouted_at_;
  bool quorum_ = false;
  std::optional<Time> quorum_lost_since_;
  std::optional<Time> votes_differ_since_;
  std::vector<NodeId> votes_wanted_;
  std::vector<NodeId> voters_healthy_;  // what votes_wanted_ was worked out from: it changes rarely
  std::uint64_t votes_epoch_ = 0;

  // Formation.
  bool knows_ring_ = false;
  std::map<std::string, HelloSeen> hellos_;
  Time hello_due_{0};
  std::optional<Time> formable_since_;
  std::vector<std::string> formation_problems_;
  std::optional<Founding> founding_;

  // Campaigns.
  std::optional<Campaign> campaign_;
  std::vector<CanvassItem> objected_items_;
  Time objection_until_{0};
  Duration objection_backoff_{0};
  std::string objection_;
  std::uint64_t nonce_ = 0;
  Time ring_due_ = Time::max();
  std::deque<PendingCanvass> canvasses_;
  std::deque<PendingCommand> commands_;
  std::optional<Forcing> forcing_;
  struct LostWatch {  // a member that somebody wants to declare lost
    Time since{0};
    Time asked{0};
    std::string answered;  // how it did
  };
  std::map<NodeId, LostWatch> lost_watch_;
  Pause paused_;                      // the head's pause
  std::optional<Time> paused_since_;  // ... as counted here

  // Gossip keys.
  KeyBook key_book_;
  KeyRing key_ring_;             // what seals and opens now
  bool key_book_dirty_ = false;  // to be kept
  std::deque<KeyCommand> key_commands_;
  std::map<NodeId, Time> key_news_due_;       // who does not show what the book says, and when it is told so
  std::map<NodeId, Time> keys_differ_since_;  // whose key in use, or lack of mine, is a trouble
  Time keys_due_{0};
  struct Stranger {  // who speaks from a member's address and cannot be understood
    Time at{0};
    KeyId key{};
  };
  std::map<NodeId, Stranger> strangers_;

  // The own server.
  Time poll_due_{0};
  Time hurry_until_{0};
  std::uint64_t starts_noted_ = 0;
  std::string role_note_;  // to be logged with the next step
  bool adopted_ = false;   // this start of mysqld was found running in a ring
  bool start_checked_ = false;
  std::optional<Time> read_only_since_;      // as this agent has seen it
  std::optional<std::string> drain_target_;  // what the next one (a leaver: all) must have before it goes
  Time adopted_at_{0};
  std::optional<Time> stuck_since_;        // or, while it catches up, since it last had got nearer
  std::optional<std::int64_t> lagged_by_;  // then, in ms
  std::optional<Time> starved_since_;
  bool sealed_since_start_ = false;  // read_only since its boot: nothing of its own can have been added
  std::optional<Time> check_since_;  // all members have been asked what they have since
  std::string check_waits_for_;      // whom nothing is known of
  Time ask_again_{0};
  std::set<NodeId> asked_by_;  // they want this node's record with a position looked up after asked_at_
  Time asked_at_{0};
  Time recheck_due_{0};
  std::vector<NodeRecord>
      accusers_;  // they seem to have more of this server than itself; to be held against a newer look
  Time accused_at_{0};
  Time lint_due_{0};
  std::string unsafe_;
  std::string unfit_;
  std::vector<Finding> findings_;
  Plan plan_;
  Phase phase_ = Phase::none;
  std::string copy_waits_for_;  // why the own data may not be replaced yet
  std::string catch_up_target_;
  NodeId catch_up_source_;
  Time ran_until_{0};  // when the own server was last seen to be up, after its start had been checked
  Time copied_at_{0};  // when the copy ended: an older look shows the data of before
  Time target_set_at_{0};
  Time caught_up_at_{0};
  std::optional<NodeId> follows_;  // whom the own server is to follow now (Situation::upstream)
  std::optional<Time> settling_since_;
  std::optional<Time> foreign_since_;
  std::string foreign_;
  std::uint64_t acted_epoch_ = 0;
  bool leaving_ = false;
  std::uint64_t repoints_ = 0;
  std::uint64_t epochs_ = 0;
  std::string last_log_;

  // One writer.
  Lease lease_;
  Time born_{0};
  std::optional<Time> denied_since_;  // a voter has refused the lease, and no majority has granted it since
  std::string tenure_;                // as the writer
  Time tenure_learnt_{0};
  std::optional<Time> all_closed_since_;  // the old writers are known to take no writes
  Time ask_positions_due_{0};
  std::string writer_waits_;  // why this writer has not begun yet
  std::uint64_t closed_epoch_ = 0;
  std::optional<Time> lift_sent_;  // and not known to be over
  Time lifted_at_{0};              // a look from before that shows the agent's read_only

  // For lag: when this agent learnt that an origin had come so far. Newest last, bounded.
  struct Milestone {
    Time at{0};
    std::string executed;
  };
  std::map<NodeId, std::deque<Milestone>> milestones_;
  void note_milestone(const NodeId& id, const std::string& executed);
};

}  // namespace ringagent
