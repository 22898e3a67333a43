#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <tuple>

#include "gossip/chain.h"

using namespace ringagent;

namespace {

NodeId id_of(std::size_t i) {
  NodeId id;
  id.bytes[0] = 0xc0;
  id.bytes[15] = static_cast<std::uint8_t>(i + 1);
  return id;
}
std::string name_of(std::size_t i) {
  return "db" + std::to_string(i + 1);
}

Config first_config(std::size_t members) {
  Config config;
  config.cluster_id.bytes[3] = 9;
  config.cluster = "shop";
  config.epoch = 1;
  std::vector<NodeId> all;
  for (std::size_t i = 0; i < members; ++i) {
    Member member;
    member.id = id_of(i);
    member.name = name_of(i);
    member.gossip = {"10.0.0." + std::to_string(i + 1), 7946};
    member.server_id = static_cast<std::uint32_t>(i + 1);
    member.in = true;
    all.push_back(member.id);
    config.members.push_back(std::move(member));
  }
  assign_votes(config, all);
  return config;
}

// What must never happen, seen by somebody who reads every disk.
enum class Disk { honest, forgets_promises };

// Chains of several nodes on a network that loses, doubles and reorders, with disks that survive crashes.
class Chains {
 public:
  Chains(std::size_t n, std::uint64_t seed, Disk disk = Disk::honest, bool formed = true)
      : random_(seed), disk_kind_(disk) {
    for (std::size_t i = 0; i < n; ++i) names_.push_back(name_of(i));
    for (std::size_t i = 0; i < n; ++i) {
      DurableState state;
      state.self = id_of(i);
      state.boot = 1;
      if (formed) state.chain.push_back(canonical_bytes(first_config(n)));
      disks_.push_back(state);
      chains_.push_back(make(i));
      inspect(i);
    }
  }

  Chain& operator[](std::size_t i) { return *chains_[i]; }
  std::size_t size() const { return chains_.size(); }
  Time now = 10s;
  double loss = 0;
  double twice = 0;
  double late = 0;
  Duration late_most = 2s;
  double crashes = 0;  // after a write: what was to be sent is sent, the rest is forgotten
  std::function<bool(std::size_t, std::size_t)> cut = [](std::size_t, std::size_t) { return false; };

  void act(std::size_t i, const std::function<void(Chain&, ChainOut&)>& action) {
    ChainOut out;
    const bool proposing = chains_[i]->proposing();
    action(*chains_[i], out);
    after(i, out, proposing);
  }
  // A change that nobody else would think of.
  void propose(std::size_t i) {
    if (chains_[i]->head() == nullptr) return;
    Config next = *chains_[i]->head();
    next.reason = "wish " + std::to_string(++wishes_) + " of " + name_of(i);
    Member& member = next.members[random_() % next.members.size()];
    member.in = !member.in;
    std::vector<NodeId> healthy;
    for (const Member& m : next.members)
      if (random_() % 4 != 0) healthy.push_back(m.id);
    assign_votes(next, healthy);
    if (validate(next)) return;
    act(i, [&](Chain& chain, ChainOut& out) { chain.propose(next, now, out); });
  }
  void crash(std::size_t i) {
    ++disks_[i].boot;
    chains_[i] = make(i);
  }
  void run(Duration span) {
    const Time end = now + span;
    while (now < end) {
      Time due = end;
      for (const auto& letter : wire_) due = std::min(due, letter.at);
      for (const auto& chain : chains_) due = std::min(due, std::max(now, chain->next_due()));
      now = std::max(now, due);
      deliver_due();
      for (std::size_t i = 0; i < size(); ++i) {
        if (chains_[i]->next_due() <= now) act(i, [&](Chain& chain, ChainOut& out) { chain.tick(now, out); });
      }
      if (now >= gossip_due_) gossip();
      now += 1ms;
    }
  }
  bool agree() const {
    return std::all_of(chains_.begin(), chains_.end(),
                       [&](const auto& c) { return c->head_id() == chains_[0]->head_id(); });
  }
  const std::vector<std::string>& complaints() const { return complaints_; }
  std::size_t epochs() const { return decided_.size(); }
  std::vector<std::string> log;

 private:
  struct Letter {
    Time at{0};
    std::size_t to = 0;
    std::size_t from = 0;
    Message message;
  };

  std::unique_ptr<Chain> make(std::size_t i) {
    auto chain = std::make_unique<Chain>(disks_[i], ChainSettings{"shop", name_of(i), names_}, random_() + i);
    chain->set_candidate({id_of(i),
                          name_of(i),
                          Role::ring,
                          {"10.0.0." + std::to_string(i + 1), 7946},
                          {},
                          static_cast<std::uint32_t>(i + 1),
                          ""});
    chain->unconfirm(now);
    return chain;
  }
  bool chance(double share) { return share > 0 && static_cast<double>(random_() >> 11) * 0x1p-53 < share; }

  void after(std::size_t i, const ChainOut& out, bool proposing) {
    log.insert(log.end(), out.log.begin(), out.log.end());
    if (out.persist) persist(i, proposing);
    for (const Outgoing& outgoing : out.send) {
      std::size_t to = size();
      for (std::size_t j = 0; j < size(); ++j)
        if (outgoing.to == id_of(j) || outgoing.to == formation_acceptor("shop", name_of(j))) to = j;
      if (to == size() || cut(i, to)) continue;
      for (int copies = chance(twice) ? 2 : 1; copies > 0; --copies) {
        if (chance(loss)) continue;
        Duration takes = Duration(200 + static_cast<std::int64_t>(random_() % 600));
        if (chance(late)) takes += Duration(static_cast<std::int64_t>(random_()) & 0x1fffff) % late_most;
        Message message = outgoing.message;
        message.head = chains_[i]->head_id();
        wire_.push_back({now + takes, to, i, std::move(message)});
      }
    }
    if (out.persist && chance(crashes)) crash(i);
  }

  // C3, and what C4 needs to know: who accepted what in which ballot.
  void persist(std::size_t i, bool proposing) {
    const DurableState before = disks_[i];
    DurableState after = chains_[i]->state();
    if ((proposing || after.own_round > before.own_round) && after.chain.size() == before.chain.size() + 1) {
      // The proposer's own vote may be the last one: then it accepts and decides in one write;
      // a lone voter does it all in one.
      const Config config = *parse_config(after.chain.back());
      const Instance instance{config.generation, config.epoch - 1, config.parent};
      accepts_[{instance, Ballot{after.own_round, id_of(i)}, after.chain.back()}].insert(id_of(i));
    }
    if (after.promised_instance == before.promised_instance && after.promised < before.promised)
      complain("C3: the promise went back");
    if (after.own_round < before.own_round) complain("C3: the own round went back");
    if (after.accepted.round != 0)
      accepts_[{after.accepted_instance, after.accepted, after.accepted_value}].insert(id_of(i));
    if (disk_kind_ == Disk::forgets_promises) {
      after.promised = before.promised;
      after.promised_instance = before.promised_instance;
    }
    disks_[i] = after;
    inspect(i);
  }

  void inspect(std::size_t i) {
    const Config* parent = nullptr;
    std::vector<Config> configs;
    for (const std::string& bytes : disks_[i].chain) configs.push_back(*parse_config(bytes));
    for (std::size_t k = 0; k < configs.size(); ++k) {
      const Config& config = configs[k];
      const std::string& bytes = disks_[i].chain[k];
      if (parent != nullptr && config.parent != hash(*parent)) complain("C2: a parent's hash is wrong");
      const auto [at, first] = decided_.emplace(config.epoch, bytes);
      if (at->second != bytes) complain("C1: two values of epoch " + std::to_string(config.epoch));
      if (first && parent != nullptr && !majority_accepted(*parent, config, bytes))
        complain("C4: epoch " + std::to_string(config.epoch) + " was decided without a majority");
      parent = &configs[k];
    }
  }

  bool majority_accepted(const Config& parent, const Config& config, const std::string& bytes) const {
    const std::vector<NodeId> electorate = voters(parent);
    for (const auto& [what, who] : accepts_) {
      const auto& [instance, ballot, value] = what;
      if (instance.epoch != parent.epoch || instance.parent != config.parent || value != bytes) continue;
      const auto votes = std::count_if(electorate.begin(), electorate.end(),
                                       [&who = who](const NodeId& id) { return who.count(id) > 0; });
      if (static_cast<std::size_t>(votes) >= majority(parent)) return true;
    }
    return false;
  }

  // As every ping does: says where the own chain stands.
  void gossip() {
    gossip_due_ = now + 400ms;
    for (std::size_t i = 0; i < size(); ++i) {
      ChainOut hello;
      for (std::size_t j = 0; j < size(); ++j) {
        if (j != i) hello.send.push_back({id_of(j), {}, {{}, AskRecord{}}, false});
      }
      after(i, hello, false);
    }
  }

  void complain(std::string what) { complaints_.push_back(std::move(what)); }

  void deliver_due() {
    std::vector<Letter> due;
    for (auto it = wire_.begin(); it != wire_.end();) {
      if (it->at > now) {
        ++it;
        continue;
      }
      due.push_back(std::move(*it));
      it = wire_.erase(it);
    }
    for (const Letter& letter : due) {
      act(letter.to, [&](Chain& chain, ChainOut& out) {
        chain.on_head(id_of(letter.from), letter.message.head, now, out);
        chain.on_message(id_of(letter.from), letter.message.body, now, out);
      });
    }
  }

  std::mt19937_64 random_;
  Disk disk_kind_;
  std::vector<std::string> names_;
  std::vector<DurableState> disks_;
  std::vector<std::unique_ptr<Chain>> chains_;
  std::vector<Letter> wire_;
  std::map<std::uint64_t, std::string> decided_;
  std::map<std::tuple<Instance, Ballot, std::string>, std::set<NodeId>> accepts_;
  std::vector<std::string> complaints_;
  std::uint64_t wishes_ = 0;
  Time gossip_due_{0};
};

}  // namespace

TEST_CASE("any member proposes, everybody learns") {
  Chains net(4, 1);
  net.run(1s);
  net.propose(3);  // the one without a vote
  net.run(200ms);
  CHECK(net.agree());
  CHECK(net[0].head()->epoch == 2);
  CHECK(net[0].head()->reason == "wish 1 of db4");
  CHECK(net.complaints().empty());
}

TEST_CASE("the head is confirmed by a majority of the voters, and only then") {
  Chains net(4, 1);
  net.cut = [](std::size_t a, std::size_t b) { return a == 0 || b == 0; };
  net.run(1s);
  CHECK_FALSE(net[0].confirmed());
  CHECK(net[1].confirmed());  // db2 and db3 are two of three
  net.cut = [](std::size_t, std::size_t) { return false; };
  net.run(1s);
  CHECK(net[0].confirmed());
}

TEST_CASE("a node that was away pulls the links that it lacks and checks them") {
  Chains net(4, 2);
  net.cut = [](std::size_t a, std::size_t b) { return a == 3 || b == 3; };
  net.run(500ms);
  for (int i = 0; i < 10; ++i) {
    net.propose(0);
    net.run(100ms);
  }
  CHECK(net[0].head()->epoch > 5);
  CHECK(net[3].head()->epoch == 1);
  net.cut = [](std::size_t, std::size_t) { return false; };
  net.run(1s);
  CHECK(net.agree());
  CHECK(net.complaints().empty());
}

TEST_CASE("an old proposer is answered with the chain, never with a promise") {
  Chains net(4, 3);
  net.cut = [](std::size_t a, std::size_t b) { return a == 3 || b == 3; };
  net.run(500ms);
  net.propose(0);
  net.run(200ms);
  net.cut = [](std::size_t, std::size_t) { return false; };
  net.propose(3);  // it does not know yet that epoch 2 is decided
  net.run(1s);
  CHECK(net.agree());
  CHECK(net[3].head()->reason == "wish 1 of db1");
  CHECK(net.complaints().empty());
}

TEST_CASE("an accepted value that nobody finished is finished by those who hold it") {
  Chains net(3, 4);
  net.run(500ms);
  // Two acceptors accept, then the proposer dies before it hears of it.
  net.cut = [](std::size_t from, std::size_t to) { return to == 0 && from != 0; };
  Config wish = *net[0].head();
  wish.reason = "left behind";
  net.act(0, [&](Chain& chain, ChainOut& out) { chain.propose(wish, net.now, out); });
  net.run(5ms);
  net.cut = [](std::size_t, std::size_t) { return false; };
  // It prepared in vain; let it get as far as Accept, and cut it off then.
  net.run(60ms);
  net.crash(0);
  net.cut = [](std::size_t a, std::size_t b) { return a == 0 || b == 0; };
  net.run(5s);
  CHECK(net[1].head()->reason == "left behind");
  CHECK(net[1].head_id() == net[2].head_id());
  CHECK(net.complaints().empty());
}

TEST_CASE("a vote of a node whose store went back in time is not counted") {
  Chains net(3, 5);
  net.run(500ms);
  ChainOut out;
  Config wish = *net[0].head();
  wish.reason = "restored";
  net[0].propose(wish, net.now, out);
  const Instance instance = std::get<Prepare>(out.send.at(0).message.body).instance;
  const Ballot ballot = std::get<Prepare>(out.send.at(0).message.body).ballot;
  const auto answer = [&](std::uint32_t boot, std::uint64_t seq) {
    ChainOut got;
    net[0].on_message(id_of(1), Promise{instance, ballot, id_of(1), {}, "", std::nullopt, {boot, seq}}, net.now, got);
    return got;
  };
  // It was seen with boot 5 before; a copy of its directory from boot 4 votes.
  ChainOut warm;
  net[0].on_message(id_of(1), Promise{instance, Ballot{99, id_of(0)}, id_of(1), {}, "", std::nullopt, {5, 70}}, net.now,
                    warm);
  const ChainOut old = answer(4, 60);
  CHECK(old.send.empty());
  REQUIRE_FALSE(old.log.empty());
  CHECK(old.log[0].find("restored") != std::string::npos);
  CHECK_FALSE(answer(5, 71).send.empty());
}

TEST_CASE("two different configs with one number stop everything") {
  Chains net(3, 6);
  net.run(500ms);
  Head foreign = net[0].head_id();
  foreign.hash[0] ^= 1;
  net.act(0, [&](Chain& chain, ChainOut& out) { chain.on_head(id_of(1), foreign, net.now, out); });
  CHECK_FALSE(net[0].broken().empty());
  net.propose(0);
  CHECK_FALSE(net[0].proposing());
}

TEST_CASE("markers are durable and cost a write only when they change") {
  Chains net(3, 7);
  ChainOut first;
  net[0].set_marker("read_only", "17", first);
  CHECK(first.persist);
  ChainOut again;
  net[0].set_marker("read_only", "17", again);
  CHECK_FALSE(again.persist);
  CHECK(net[0].marker("read_only") == "17");
  ChainOut gone;
  net[0].set_marker("read_only", "", gone);
  CHECK(gone.persist);
  CHECK(net[0].marker("read_only").empty());
}

// ---------------------------------------------------------------- formation

TEST_CASE("a ring is formed by all names of the list, with the ids that their promises brought") {
  Chains net(4, 8, Disk::honest, false);
  net.act(2, [&](Chain& chain, ChainOut& out) {
    chain.propose_formation({"db1", "db2", "db3", "db4"}, id_of(77), "formed", net.now, out);
  });
  net.run(1s);
  CHECK(net.agree());
  REQUIRE(net[0].head() != nullptr);
  CHECK(net[0].head()->epoch == 1);
  CHECK(net[0].head()->find("db4")->id == id_of(3));
  CHECK(voters(*net[0].head()).size() == 3);
}

TEST_CASE("nothing is formed with a server that its own agent has not seen yet") {
  Chains net(4, 1, Disk::honest, false);
  const auto candidate = [](std::uint32_t server_id) {
    return Candidate{id_of(2), "db3", Role::ring, {"10.0.0.3", 7946}, {}, server_id, ""};
  };
  net[2].set_candidate(candidate(0));
  const auto propose = [&](Chain& chain, ChainOut& out) {
    chain.propose_formation({"db1", "db2", "db3", "db4"}, id_of(77), "formed", net.now, out);
  };
  net.act(0, propose);
  net.run(1s);
  CHECK(net[0].head() == nullptr);
  CHECK_FALSE(net[0].proposing());  // whoever wants a ring proposes it again
  net[2].set_candidate(candidate(3));
  net.act(0, propose);
  net.run(1s);
  REQUIRE(net[0].head() != nullptr);
  CHECK(net[0].head()->find(std::string_view("db3"))->server_id == 3);
}

TEST_CASE("one name that does not answer: nothing is formed") {
  Chains net(4, 9, Disk::honest, false);
  net.cut = [](std::size_t a, std::size_t b) { return a == 3 || b == 3; };
  net.act(0, [&](Chain& chain, ChainOut& out) {
    chain.propose_formation({"db1", "db2", "db3", "db4"}, id_of(77), "formed", net.now, out);
  });
  net.run(10s);
  CHECK(net[0].head() == nullptr);
}

TEST_CASE("all propose at once, over a bad network: one ring") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    Chains net(4, seed, Disk::honest, false);
    net.loss = 0.3;
    net.twice = 0.1;
    net.late = 0.1;
    for (int round = 0; round < 10; ++round) {
      for (std::size_t i = 0; i < 4; ++i) {
        net.act(i, [&](Chain& chain, ChainOut& out) {
          chain.propose_formation({"db1", "db2", "db3", "db4"}, id_of(50 + i), "formed", net.now, out);
        });
      }
      net.run(2s);
      if (round == 3) net.crash(seed % 4);
    }
    CAPTURE(seed);
    CHECK(net[0].head() != nullptr);
    CHECK(net.complaints().empty());
  }
}

TEST_CASE("a changed list after a vote is refused, and named") {
  DurableState state;
  state.self = id_of(0);
  state.formation_initial = {"db1", "db2"};
  const Chain chain(state, {"shop", "db1", {"db1", "db2", "db3"}}, 1);
  CHECK(chain.formation_conflict().find("db1, db2") != std::string::npos);
  const Chain same(state, {"shop", "db1", {"db1", "db2"}}, 1);
  CHECK(same.formation_conflict().empty());
}

TEST_CASE("a vote on an older list can be given up, and stays given up") {
  DurableState state;
  state.self = id_of(0);
  state.formation_initial = {"db1", "db2"};
  state.promised = {3, id_of(1)};
  Chain chain(state, {"shop", "db1", {"db1", "db2", "db3"}}, 1);
  ChainOut out;
  chain.abandon_formation(out);
  CHECK(out.persist);
  CHECK(chain.formation_conflict().empty());
  CHECK(chain.state().promised == Ballot{});
  ChainOut again;
  chain.abandon_formation(again);
  CHECK_FALSE(again.persist);
}

// ---------------------------------------------------------------- C1 to C4 over many schedules

namespace {

struct Outcome {
  std::string complaint;  // the first
  std::size_t epochs = 0;
  bool agreed = false;
};

Outcome random_life(std::uint64_t seed, Disk disk) {
  std::mt19937_64 random(seed * 31);
  Chains net(3 + seed % 3, seed, disk);
  net.loss = static_cast<double>(seed % 4) * 0.1;
  net.twice = 0.1;
  net.late = 0.1;
  net.crashes = seed % 2 == 0 ? 0.05 : 0;
  for (int step = 0; step < 60; ++step) {
    const std::size_t who = random() % net.size();
    switch (random() % 6) {
      case 0:
        net.crash(who);
        break;
      case 1: {
        const std::size_t other = random() % net.size();
        net.cut = [who, other](std::size_t a, std::size_t b) {
          return (a == who) != (b == who) && (a == other || b == other || other == who);
        };
        break;
      }
      case 2:
        net.cut = [](std::size_t, std::size_t) { return false; };
        break;
      default:
        net.propose(who);
    }
    net.run(Duration(static_cast<std::int64_t>(random() % 80'000)));
    if (!net.complaints().empty()) break;
  }
  net.cut = [](std::size_t, std::size_t) { return false; };
  net.loss = net.late = net.crashes = 0;
  net.run(8s);
  return {net.complaints().empty() ? "" : net.complaints().front(), net.epochs(), net.agree()};
}

}  // namespace

TEST_CASE("C1 to C4 hold and everybody agrees in the end, whatever is lost, overtaken, cut off or crashes") {
  std::size_t epochs = 0;
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    const Outcome outcome = random_life(seed, Disk::honest);
    CAPTURE(seed);
    CHECK(outcome.complaint == "");
    CHECK(outcome.agreed);
    epochs += outcome.epochs;
  }
  CHECK(epochs > 60 * 5);
}

namespace {

// Two proposers at the same time, messages that overtake each other, and crashes right after a write.
std::string duel(std::uint64_t seed, Disk disk) {
  Chains net(4, seed, disk);
  net.run(300ms);
  net.loss = 0.2;
  net.late = 0.5;
  net.late_most = 100ms;
  net.crashes = 0.2;
  for (int round = 0; round < 20 && net.complaints().empty(); ++round) {
    net.propose(seed % 4);
    net.propose((seed + 1 + static_cast<std::uint64_t>(round) % 3) % 4);
    net.run(120ms);
  }
  return net.complaints().empty() ? "" : net.complaints().front();
}

}  // namespace

TEST_CASE("duels of proposers that crash end with one value") {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    CAPTURE(seed);
    CHECK(duel(seed, Disk::honest) == "");
  }
}

TEST_CASE("the checks have teeth: disks that forget promises are caught") {
  std::size_t caught = 0;
  for (std::uint64_t seed = 1; seed <= 400 && caught == 0; ++seed)
    caught += !duel(seed, Disk::forgets_promises).empty();
  CHECK(caught > 0);
}

TEST_CASE("chain: what only a newer version can read is not acted upon") {
  Chains chains(3, 1);
  chains.run(1s);
  REQUIRE(chains[0].confirmed());
  Config next = *chains[0].head();
  ++next.epoch;
  next.parent = chains[0].head_id().hash;
  const std::string readable = canonical_bytes(next);
  std::string newer = readable;
  newer.front() = 99;
  CHECK(of_newer_version(newer));
  CHECK_FALSE(of_newer_version(readable));
  CHECK(parse_config(newer).error().text == "a ring config of format 99, and this version reads 3 and 4");
  const auto told = [&](const std::string& bytes) {
    chains.act(0, [&](Chain& chain, ChainOut& out) { chain.on_message(id_of(1), Decided{{bytes}}, chains.now, out); });
  };
  told(newer.substr(1));  // damaged is not newer
  CHECK_FALSE(chains[0].outdated());
  told(newer);
  CHECK(chains[0].outdated());
  CHECK_FALSE(chains[0].confirmed());
  told(readable);  // the ring has gone back to what it can read
  CHECK_FALSE(chains[0].outdated());
  CHECK(chains[0].head_id().epoch == next.epoch);
}
