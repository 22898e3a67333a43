#include <algorithm>

#include "agent/joining.h"
#include "agent/node_impl.h"
#include "agent/standing.h"

// The part of Node that gets this agent into a ring: formation from the list in its config, a first ring of one (`init`), or
// as a further member of one that exists (`join`); and that hears those who ask for the same.
namespace ringagent {
namespace {

constexpr Duration kHelloPeriod = 500ms;
constexpr Duration kHelloSoon = 50ms;
constexpr Duration kFormationRank = 1s;
constexpr Duration kHelloFresh = 3s;
constexpr Duration kFoundingLimit = 20s;

}  // namespace

// ---------------------------------------------------------------- hellos

Candidate Node::Impl::own_candidate() const {
  const Role role = founding_ && founding_->joins ? founding_->role : settings.role;
  Candidate candidate{self(), settings.name, role, settings.gossip, settings.mysql, 0, ""};
  if (server_.state()) {
    candidate.server_id = server_.state()->server_id;
    candidate.server_uuid = server_.state()->server_uuid;
  }
  return candidate;
}

Hello Node::Impl::own_hello() const {
  Hello hello{own_candidate(), settings.initial, own_record(), true, false, ""};
  if (founding_ && founding_->joins) {
    hello.join = true;
    hello.after = founding_->after;
  }
  return hello;
}

void Node::Impl::say_hello() {
  const bool joins = founding_ && founding_->joins;
  if (now_ < hello_due_ || (settings.initial.empty() && !joins)) return;
  hello_due_ = now_ + kHelloPeriod;
  // Nobody takes in a server that its own agent has not seen yet.
  if (joins && settings.role != Role::witness && server_.health() == MysqlHealth::unknown) {
    hello_due_ = now_ + kHelloSoon;
    return;
  }
  const Hello hello = own_hello();
  chain.set_lease(settings.one_writer ? static_cast<std::uint64_t>(settings.silence / 1ms) : 0);
  hellos_[settings.name] = {hello, now_, settings.gossip};
  for (const Address& peer : joins ? founding_->at : settings.peers) {
    if (peer == settings.gossip) continue;
    Outgoing outgoing;
    outgoing.address = peer;
    outgoing.by_name = true;
    outgoing.message.body = hello;
    fx_->send.push_back(std::move(outgoing));
  }
}

// Whoever says hello need not be a member yet: it is answered where it says that it is.
void Node::Impl::answer_hello(const Packet& packet, const Hello& hello, Body body) {
  send(packet.from, std::move(body));
  fx_->send.back().address = hello.candidate.gossip;
}

void Node::Impl::on_hello(const Packet& packet, const Hello& hello) {
  if (chain.head() != nullptr) {
    const Member* member = chain.head()->find(packet.from);
    if (member == nullptr) return on_applicant(packet, hello);
    return answer_hello(packet, hello, Decided{chain.state().chain});
  }
  if (hello.candidate.name == settings.name) {
    log(LogLevel::error, "another agent at " + packet.address.str() + " calls itself " + settings.name +
                             ", too: node names must differ");
    return;
  }
  const bool known =
      std::find(settings.initial.begin(), settings.initial.end(), hello.candidate.name) != settings.initial.end();
  if (!known) {
    log(LogLevel::warning,
        hello.candidate.name + " at " + packet.address.str() + " says hello but is not in [ring] initial here");
    return;
  }
  hellos_[hello.candidate.name] = {hello, now_, packet.address};
}

// There is a ring, and an agent that is no member of it asks to form one: perhaps a member without its memory.
void Node::Impl::on_applicant(const Packet& packet, const Hello& hello) {
  const std::string& name = hello.candidate.name;
  const Member* member = chain.head()->find(name);
  const bool same_server = member != nullptr && hello.candidate.server_id == member->server_id &&
                           hello.candidate.server_uuid == member->server_uuid;
  if (hello.join && hello.candidate.id == packet.from && !same_server) return on_joiner(packet, hello);
  if (member == nullptr || hello.candidate.id != packet.from) {
    log(LogLevel::warning, "an agent that calls itself " + name + " at " + packet.address.str() +
                               " asks to form a ring that exists already, and is no member of it");
    return;
  }
  hellos_[name] = {hello, now_, packet.address};
  // It knows one of us, and a majority must have heard it: let it know the others.
  if (hello.join) answer_hello(packet, hello, Decided{{canonical_bytes(*chain.head())}});
  const std::string why = impostor(view(), member->id, hello);
  if (!why.empty())
    log(LogLevel::warning, "an agent at " + packet.address.str() + " calls itself " + name +
                               " and has another id; it is not taken in: " + why);
}

// An agent that has no ring asks to become a further member: taken in with the next epoch, or told why not.
void Node::Impl::on_joiner(const Packet& packet, const Hello& hello) {
  const std::string& name = hello.candidate.name;
  const std::string why = against_joiner(view(), hello);
  if (why.empty()) {
    hellos_[name] = {hello, now_, packet.address};
    return;
  }
  log(LogLevel::warning, name + " at " + packet.address.str() + " wants to join and cannot: " + why);
  answer_hello(packet, hello, CanvassAnswer{0, Opinion::object, why});
}

// Who has been heard of lately and has no ring: members without their memory, and new ones.
void Node::Impl::add_applicants(View& v) const {
  for (const auto& [name, seen] : hellos_) {
    if (now_ - seen.at > kHelloFresh) continue;
    const Member* member = v.config->find(name);
    if (member != nullptr && member->id != seen.hello.candidate.id) v.applicants.emplace(member->id, seen.hello);
    if (member == nullptr && seen.hello.join) v.joiners.emplace(name, seen.hello);
  }
}

// ---------------------------------------------------------------- init and join

void Node::Impl::start_founding(const Command& command) {
  const auto answer = [&](bool ok, std::string text) { fx_->replies.push_back({command.id, ok, std::move(text)}); };
  if (chain.head() != nullptr) {
    if (own_member() != nullptr) return answer(true, where_it_stands());
    return answer(false, settings.name +
                             " was a member of this ring and has been removed: stop its agent, empty its state "
                             "directory, start it and join again");
  }
  if (!argument(command, "abandon").empty()) {
    ChainOut out = chain_out();
    chain.abandon_formation(out);
    take(std::move(out));
    log(LogLevel::warning, "what this node had voted on forming a ring is given up");
    return answer(true, "given up; say so on every node of the old list");
  }
  Founding f;
  f.joins = command.name == "join";
  if (!settings.initial.empty() && !(founding_ && !founding_->joins))
    return answer(false, "[ring] initial in the config names the nodes that form a ring by themselves: `" +
                             command.name + "` is for an agent whose list is empty");
  if (founding_ && founding_->joins != f.joins)
    return answer(false, std::string("`") + (f.joins ? "init" : "join") + "` is under way here");
  if (f.joins) {
    const auto at = Address::parse(argument(command, "address"));
    if (!at) return answer(false, at.error().text);
    const std::string role = argument(command, "role");
    const auto wanted = role.empty() ? Result<Role>(settings.role) : parse_role(role);
    if (!wanted) return answer(false, wanted.error().text);
    if (*wanted != settings.role && (*wanted == Role::witness || settings.role == Role::witness))
      return answer(false, std::string("an agent is a witness by its config: set [ring] role = \"") +
                               to_string(*wanted) + "\" there and restart it");
    f.at = {*at};
    f.after = argument(command, "after");
    f.role = *wanted;
  } else {
    settings.initial = {settings.name};
    chain.set_initial(settings.initial);
  }
  f.asked = founding_ ? founding_->asked : std::vector<std::uint64_t>{};
  f.asked.push_back(command.id);
  f.deadline = now_ + kFoundingLimit;
  founding_ = std::move(f);
  hello_due_ = now_;
}

// A member of the ring says why this agent cannot join it.
void Node::Impl::on_refusal(const CanvassAnswer& answer) {
  if (founding_ && founding_->joins && answer.nonce == 0) end_founding(false, "not taken in: " + answer.why);
}

// A ring in which this agent's place is held under an id that it has lost: all its members have to hear of it.
void Node::Impl::on_ring_of_others(const Decided& decided) {
  if (!founding_ || !founding_->joins || decided.configs.empty()) return;
  const auto config = parse_config(decided.configs.back());
  if (!config || config->cluster != settings.cluster || config->find(self()) != nullptr) return;
  for (const Member& member : config->members) {
    const bool known = std::find(founding_->at.begin(), founding_->at.end(), member.gossip) != founding_->at.end();
    if (!known) founding_->at.push_back(member.gossip);
  }
}

std::string Node::Impl::where_it_stands() const {
  const Config& head = *chain.head();
  const auto up = upstream(head, self());
  return settings.name + " is a member of " + head.cluster +
         (up                        ? ", behind " + name_of(*up)
          : head.members.size() > 1 ? ""
                                    : ", its only one so far");
}

void Node::Impl::end_founding(bool ok, const std::string& text) {
  for (const std::uint64_t id : founding_->asked) fx_->replies.push_back({id, ok, text});
  founding_.reset();
}

void Node::Impl::run_founding() {
  if (!founding_) return;
  if (own_member() != nullptr) return end_founding(true, where_it_stands());
  if (now_ < founding_->deadline) return;
  if (founding_->joins)
    return end_founding(false, "no answer from " + founding_->at.front().str() +
                                   " within 20 s: is that the agent of a member of " + settings.cluster +
                                   ", with the same gossip key, and does the ring have a quorum?");
  std::string why;
  for (const std::string& problem : formation_problems_) why += (why.empty() ? ": " : "; ") + problem;
  end_founding(false, "no ring was formed within 20 s" + why);
}

// ---------------------------------------------------------------- formation

void Node::Impl::try_to_form() {
  std::map<std::string, Hello> fresh;
  for (const auto& [name, seen] : hellos_) {
    if (now_ - seen.at <= kHelloFresh) fresh.emplace(name, seen.hello);
  }
  if (settings.initial.empty() || fresh.empty()) return;
  Formation formation = judge_formation(settings.initial, fresh);
  if (const std::string changed = chain.formation_conflict(); !changed.empty()) {
    formation.possible = false;
    formation.problems.insert(formation.problems.begin(), changed);
  }
  if (formation.problems != formation_problems_) {
    const auto& before = formation_problems_;
    for (const std::string& problem : formation.problems) {
      const bool news = std::find(before.begin(), before.end(), problem) == before.end();
      if (news) log(LogLevel::warning, "no ring yet: " + problem);
    }
    formation_problems_ = formation.problems;
  }
  if (!formation.possible) {
    formable_since_.reset();
    return;
  }
  if (!formable_since_) formable_since_ = now_;
  const auto place =
      std::find(settings.initial.begin(), settings.initial.end(), settings.name) - settings.initial.begin();
  if (chain.proposing() || now_ < *formable_since_ + place * kFormationRank) return;
  ClusterId id;
  for (std::uint8_t& byte : id.bytes) byte = static_cast<std::uint8_t>(random_());
  ChainOut out = chain_out();
  chain.propose_formation(formation.home_order, id, formation.reason, now_, out);
  take(std::move(out));
}

}  // namespace ringagent
