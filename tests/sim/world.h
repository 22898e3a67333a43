#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <random>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "agent/node.h"
#include "gossip/key_book.h"
#include "tests/sim/checker.h"
#include "tests/sim/model_server.h"
#include "tests/sim/packets.h"
#include "tests/sim/slot_files.h"

// A small deterministic world for whole agents: several hosts, each with a Node (the very code of the daemon), a disk
// and a model server, in virtual time.
//
// Intuition: one queue of things that happen, ordered by time. A step of an agent is carried out as agent/node.h asks
// for it: persist, then send, then SQL. A crash forgets the Node and what was under way, and keeps what was persisted.
// Whatever happens is written into a trace that a person can read; whatever must never happen is a violation.
//
// The same seed gives the same run. Nothing here waits: ten minutes pass in a second.
namespace ringagent::sim {

// Stories call gossip keys by a letter.
Key key_called(const std::string& letter);
// Where a machine of this number has its address.
std::string address_host(std::size_t number);

struct WorldOptions {
  std::vector<std::string> names;
  std::uint64_t seed = 1;
  Flavor flavor = Flavor::mariadb;
  NodeSettings settings;              // what is common to all agents; names, addresses and [ring] initial are filled in
  std::map<std::string, Role> roles;  // by name, of those that are no ring members
  std::set<std::string>
      joiners;  // those whose [ring] initial is empty: they join, or found a ring, when they are told to
  std::set<std::string> older;  // whose agents are of an older version at first, which knows nothing of one writer
  Key key = key_called("A");    // what all key files hold at first
  Duration packet_least = 200us;
  Duration packet_most = 600us;
  Duration disk = 300us;        // one fdatasync
  bool files = false;           // state is kept by gossip/store, in files, and a crash may tear what is being written
  Duration poll_deadline = 2s;  // mysql/worker.h
  Duration look_deadline = 1s;
};

// One line of what happened.
struct Seen {
  enum class Kind : std::uint8_t { fault, epoch, statement, server, log, history, reply };
  Time at{0};
  Kind kind = Kind::log;
  std::string host;  // "" for faults that concern more than one
  std::string text;
  std::optional<Config> config;  // of an epoch: the first time that anybody adopts it
};

class World : private Surroundings {
 public:
  explicit World(WorldOptions options);
  ~World() override;

  // ---- time
  static constexpr Time kDawn{1000s};
  Time now() const override { return now_; }
  void run_until(Time end);
  // Returns whether the condition came true within `span`; it is tried after each event.
  bool run_until(const std::function<bool()>& condition, Duration span);

  // ---- hosts, by name; unknown names abort: ask `has` first
  bool has(const std::string& name) const { return index_.count(name) > 0; }
  const std::vector<std::string>& names() const { return options_.names; }
  ModelServer& server(const std::string& name) { return *host(name).server; }
  const Node* agent(const std::string& name) const;  // nullptr: not running
  const DurableState& disk(const std::string& name) const { return host(name).disk; }
  Snapshot snapshot(const std::string& name) const;
  std::string name_of(const Address& address) const;

  // ---- agents
  void start_agent(const std::string& name);
  void kill_agent(const std::string& name);
  void crash_agent(const std::string& name);    // in its next step, at some boundary between two effects
  void stop_agent(const std::string& name);     // orderly: it says good-bye
  void save_state(const std::string& name);     // a backup of its state directory
  void restore_state(const std::string& name);  // the agent must be dead
  void copy_state(const std::string& from, const std::string& to);  // a cloned machine
  void expect_two_generations() { checker_.expect_two_generations(); }
  void wipe_state(const std::string& name);                  // its state directory is lost; the agent must be dead
  void pause_agent(const std::string& name, Duration span);  // as SIGSTOP and SIGCONT
  void set_key_file(const std::string& name, std::vector<Key> keys);  // read at the agent's next start
  void set_writers(const std::string& name, bool one);                // in its config, which is read again
  void reload(const std::string& name, const std::function<void(NodeSettings&)>& change);
  void upgrade_agent(const std::string& name);  // an older one: it starts again as the new version
  void command(const std::string& name, const std::string& command,
               std::vector<std::pair<std::string, std::string>> arguments = {});

  // ---- servers and hosts
  void start_server(const std::string& name);
  void kill_server(const std::string& name) { server(name).kill(); }
  void pause_server(const std::string& name, Duration span);
  void kill_host(const std::string& name);  // power off: nothing is said to anybody
  void start_host(const std::string& name);
  void move_host(const std::string& name);  // power off; when it starts again it has another address
  void operate(const std::string& name, const std::string& sql);  // a person at the server's own prompt

  // ---- network
  enum class Net { agents, databases, both };
  // Nothing passes between two hosts of different groups; `one_way`: nothing from an earlier group to a later one.
  void cut(const std::vector<std::vector<std::string>>& groups, Net net, bool one_way = false);
  void heal();
  // What agents send between these two hosts arrives when it is over, all at once; databases hear nothing till then.
  void clog(const std::string& one, const std::string& other, Duration span);
  // The end of all faults: the network is whole, everything that is down starts (but the hosts in `absent`, which stay as
  // they are), what hangs goes on, and a person resumes what was stopped by hand.
  void calm(const std::set<std::string>& absent);
  double loss = 0;
  double twice = 0;
  double replay = 0;      // with some packets an old one comes along: what the envelope's window lets pass
  Duration late_most{0};  // some packets are as late as this, and so overtaken

  // ---- load and its audit
  void write(const std::string& name, std::size_t transactions);
  void load(Duration period);  // every server that takes writes gets one so often; 0: none
  void lose_tail(const std::string& name, std::size_t transactions);
  // What a person does who sits at a host and reads its status: goes on with a reseed or a join that waits for a copy.
  void tend(const std::string& name);
  // A person looks at the ring so often, and has what is stranded and held replayed; 0: nobody does.
  void decide(Duration period);
  // What is wrong with the data of the servers that are up, after quiescence, or "".
  std::string audit();
  std::size_t binlogged() const;  // transactions in all binlogs
  bool quiet() const;             // all servers that are up have the same positions

  // ---- what happened
  const std::deque<Seen>& trace() const { return trace_; }
  // Its lines that are epochs, by number; none of them is ever forgotten.
  const std::map<std::size_t, Seen>& epochs() const { return epochs_; }
  std::size_t first_kept() const { return dropped_; }  // the number of the trace's first line
  void note(Seen::Kind kind, const std::string& host, std::string text);
  const std::vector<std::string>& violations() const { return violations_; }
  // The one case for which C1 cannot answer has come (protocol.md, "Restored snapshots"): nothing after it can be judged.
  bool excused() const { return excused_; }
  std::uint64_t steps() const { return steps_; }

  // L1: ring and links are as the head of all running agents wants them, everything runs and nobody in the ring is
  // read_only; or what is missing. A server that needs a reseed may stay out.
  // "" if it is. `explain`: with what the agent concerned says of it, which costs more than all the rest.
  std::string wrong_with_ring(bool explain = true);

 private:
  struct Host {
    std::string name;
    std::size_t number = 0;
    NodeSettings settings;
    DurableState disk;
    KeyBook key_book;  // on the disk, too
    DurableState saved;
    KeyBook saved_key_book;
    bool restored = false;
    std::set<std::size_t> know_better;  // hosts on whose disks stands what it has said since that was saved
    KeyRing keys;                       // with which its agent seals and opens
    std::unique_ptr<Node> node;
    Time agent_since{0};     // when it was last started
    std::uint64_t life = 0;  // of the agent
    std::unique_ptr<ModelServer> server;
    bool powered = true;
    std::uint64_t watched_start = 0;
    Time tick_at = Time::max();
    std::uint64_t tick_token = 0;
    Time paused_until{0};
    Time paused_at{0};
    std::deque<Event> held;  // what arrived while it was paused
    // Whose short envelopes, of which life and key, its agent can open.
    std::set<std::tuple<NodeId, std::uint32_t, KeyId>> met;
    std::vector<Sent> archive;                // of what was sent to it; somebody may send it again
    std::map<NodeId, ReplayWindow> windows;   // of its agent's life
    std::uint64_t sent = 0;                   // packets
    std::unique_ptr<SlotFiles> files;         // nullptr: `disk` is all there is
    std::optional<DurableState> torn;         // what was being written when it crashed: it is on the disk, or it is not
    bool older = false;                       // its agent is of an older version
    bool wiped = false;                       // its agent has lost its state once
    bool crashes = false;                     // in its next step
    bool crashes_torn = false;                // or in the next one that persists, while it does
    std::map<std::size_t, Time> heard_since;  // of its server, by those that follow it (their numbers)
    Time out_since = Time::max();             // by its own disk, its agent running all the while
    bool was_member = false;
    bool gone = false;                // it is no member any more
    bool left = false;                // in good order: what it wrote has reached the others
    bool has_copy = false;            // of the data, which its agent has to be told of
    bool copy_lacks = false;          // what its own server once wrote and others have
    std::optional<Time> reseed_said;  // though somebody could give all that it lacks
    bool by_hand = false;             // a person changed its link, or its agent may not know what it did itself
    bool damaged = false;             // its server has lost transactions that others may have: only a reseed helps
    // C12: when its agent ceased to watch its server, and when it began again; when its server was last within reach.
    std::optional<Time> unwatched_since;
    Time watched_again{0};
    Time unwatched_last{0};
    Time reached{0};
    Time hung_since{0};         // or, while it does not hang: now
    Time locked{0};             // when somebody's lock last kept it from being made read_only
    bool hung_unheard = false;  // and its agent could tell too few of it before it was late
    bool within_reach = false;
    Time reached_since{0};
    Time reached_before{0};  // when the time of being within reach before this one ended
  };
  struct Happening {
    Time at{0};
    std::uint64_t order = 0;
    std::function<void()> what;
    bool operator<(const Happening& other) const { return at != other.at ? at > other.at : order > other.order; }
  };

  Host& host(const std::string& name) { return hosts_[index_.at(name)]; }
  const Host& host(const std::string& name) const { return hosts_[index_.at(name)]; }
  Host* host_at(const Address& gossip);

  // Surroundings of the servers.
  void after(Duration wait, std::function<void()> then) override;
  Duration between(Duration least, Duration most) override;
  ModelServer* server_at(const Address& address) const override;
  bool path(const ModelServer& from, const ModelServer& to) override;
  std::vector<ModelServer*> servers() override;
  void note(const ModelServer& server, const std::string& what) override;
  void ran(const ModelServer& server, const std::string& sql) override;
  void violation(const std::string& what) override;
  void thrown_away(const ModelServer& server, const std::vector<Transaction>& received) override;

  bool reaches(const Host& from, const Host& to, Net net) const;
  bool chance(double share);
  NodeId fresh_id();
  bool counts(const Host& host) const;
  bool held_back(const Config& head, const Member& member) const;
  bool starves() const;

  void step(Host& host, Event event);
  void deliver(Host& host, Event event, std::uint64_t life);
  void arm(Host& host);
  void carry_out(Host& host, Effects effects);
  void persist(Host& host);
  // Where a step ends: while it persists, or after so many effects (the persist, the sends, the requests to its server).
  struct CrashPoint {
    bool torn = false;
    std::size_t effects = 0;
  };
  std::optional<CrashPoint> crash_point(Host& host, const Effects& effects);
  void note_durable(Host& host, const DurableState& after);
  bool read_disk(Host& host);
  void look_after(const std::set<std::string>& absent, std::uint64_t token);
  static bool outlived(const Snapshot& snapshot);
  static bool needs_reseed(const Snapshot& snapshot, const std::string& name);
  void check_removals(const Config& config);
  void note_leavers(const Config& config);
  void check_told(Host& host, const std::string& line);
  void copy_data(const Host& donor, Host& to);
  std::string donor_for(const Host& host) const;
  bool waits_for_a_giver(Host& host, const Snapshot& snapshot);
  static bool gives(const ModelServer& source, const ModelServer& to);
  std::string member_address() const;
  void forget_missing(const Host& host, const std::multiset<std::uint64_t>& before);
  bool linked(const Host& a, const Host& b, Net net) const;
  bool forgot_unnoticed() const;
  bool hears(const Host& follower, const Host& host) const;
  bool heard_of(const Host& host, const Config& decided, Time wanted) const;
  bool reaches_quorum(const Host& host) const;
  void check_writer(Host& host);
  void check_two_writers();
  void note_watching(Host& host);
  bool excused(const Host& host) const;
  bool has_opened(const Host& writer, const Config& head) const;
  void watch();
  std::string told_of(const std::string& name) const;
  std::string explained(const std::string& name) const;
  bool explains_ = true;
  std::string wrong_with_leaves();
  std::string wrong_with_spare(const Config& head, const Member& member) const;
  std::string wrong_with_member(const Config& head, const Member& member);
  void mend_writer(const Host& host, const Snapshot& snapshot);
  void send(Host& host, const Outgoing& outgoing, Duration wait);
  void arrive(Host& to, const Sent& sent, bool again);
  Duration clogged(const Host& from, const Host& to) const;
  void record(Host& host, const Effects& effects);
  void append(Seen seen);

  void repeat(Duration period, const std::uint64_t& current, std::uint64_t token, std::function<void()> what);

  struct Call;
  std::shared_ptr<Call> call(Host& host, Duration deadline, std::function<Event()> timed_out);
  void start(Host& host, const PollRequest& request);
  void start(Host& host, const RunRequest& request);
  void start(Host& host, const LookRequest& request);
  void start(Host& host, const PortRequest& request);
  SqlError at_the_door(const Host& host) const;
  void server_gone(Host& host, bool process);

  WorldOptions options_;
  std::mt19937_64 random_;
  Time now_ = kDawn;
  std::uint64_t order_ = 0;
  std::priority_queue<Happening> happenings_;
  std::deque<Host> hosts_;
  std::map<std::string, std::size_t> index_;
  std::set<std::pair<std::size_t, std::size_t>> cut_agents_;
  std::set<std::pair<std::size_t, std::size_t>> cut_databases_;
  std::map<std::pair<std::size_t, std::size_t>, Time> clogged_;  // until

  std::uint64_t contents_ = 0;
  std::map<std::uint64_t, std::string> acknowledged_;
  std::set<std::uint64_t> given_up_;  // lost with a tail, or replaced by a copy: nobody can expect to see it again
  std::uint64_t load_token_ = 0;
  std::uint64_t decide_token_ = 0;

  bool one_writer_ = false;  // C12 holds from now on
  Checker checker_;
  std::uint64_t calm_token_ = 0;
  std::size_t ids_ = 0;
  std::deque<Seen> trace_;
  std::map<std::size_t, Seen> epochs_;
  std::size_t dropped_ = 0;
  std::vector<std::string> violations_;
  bool excused_ = false;
  std::uint64_t steps_ = 0;
};

}  // namespace ringagent::sim
