#include "config/ring.h"

#include <sodium.h>

#include <algorithm>
#include <set>

namespace ringagent {
namespace {

constexpr std::uint8_t kFormat = 3;
constexpr std::uint8_t kFormatOneWriter = 4;
constexpr std::size_t kReasonBytesMax = 4 * kTextBytesMax;
constexpr std::uint64_t kLeaseMsMax = 600'000;

bool may_be_in(const Member& member) {
  return member.role == Role::ring || member.role == Role::spare;
}
bool may_vote(const Member& member) {
  return member.role != Role::leaf;
}

std::size_t index_of(const Config& config, const NodeId& id) {
  const auto found =
      std::find_if(config.members.begin(), config.members.end(), [&](const Member& m) { return m.id == id; });
  return static_cast<std::size_t>(found - config.members.begin());
}

bool listed(const std::vector<NodeId>& ids, const NodeId& id) {
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

void end_order_if_reached(Config& config) {
  if (config.wanted_order.empty() || !same_circle(home_order(config), config.wanted_order)) return;
  config.wanted_order.clear();
  for (Member& member : config.members) {
    if (member.absence == Absence::moving) end_absence(member);
  }
}

// ---------------------------------------------------------------- canonical bytes

class Writer {
 public:
  void number(std::uint64_t value, int bytes) {
    for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8)
      out_.push_back(static_cast<char>((value >> shift) & 0xff));
  }
  void flag(bool value) { number(value ? 1 : 0, 1); }
  void text(std::string_view value) {
    number(value.size(), 4);
    out_.append(value);
  }
  template <std::size_t N>
  void raw(const std::array<std::uint8_t, N>& value) {
    for (const std::uint8_t byte : value) out_.push_back(static_cast<char>(byte));
  }
  void address(const Address& value) {
    text(value.host);
    number(value.port, 2);
  }
  std::string take() { return std::move(out_); }

 private:
  std::string out_;
};

// Every read fails softly: after the first failure all others give zeroes, and `ok` says so at the end.
class Reader {
 public:
  explicit Reader(std::string_view in) : in_(in) {}
  std::uint64_t number(int bytes) {
    std::uint64_t value = 0;
    for (int i = 0; i < bytes; ++i) value = (value << 8) | next();
    return value;
  }
  bool flag() {
    const std::uint64_t value = number(1);
    if (value > 1) ok_ = false;
    return value == 1;
  }
  std::string text(std::size_t most) {
    const std::uint64_t size = number(4);
    if (size > most || size > in_.size() - at_) {
      ok_ = false;
      return {};
    }
    std::string out(in_.substr(at_, size));
    at_ += size;
    return out;
  }
  template <std::size_t N>
  void raw(std::array<std::uint8_t, N>& value) {
    for (std::uint8_t& byte : value) byte = next();
  }
  Address address() {
    Address out;
    out.host = text(kNameBytesMax);
    out.port = static_cast<std::uint16_t>(number(2));
    return out;
  }
  void fail() { ok_ = false; }
  bool ok() const { return ok_; }
  bool at_end() const { return at_ == in_.size(); }

 private:
  std::uint8_t next() {
    if (at_ >= in_.size()) {
      ok_ = false;
      return 0;
    }
    return static_cast<std::uint8_t>(in_[at_++]);
  }
  std::string_view in_;
  std::size_t at_ = 0;
  bool ok_ = true;
};

void write(Writer& w, const Member& m) {
  w.raw(m.id.bytes);
  w.text(m.name);
  w.address(m.gossip);
  w.address(m.mysql);
  w.number(m.server_id, 4);
  w.text(m.server_uuid);
  w.number(static_cast<std::uint64_t>(m.role), 1);
  w.flag(m.in);
  w.flag(m.vote);
  w.text(m.out_class);
  w.text(m.note);
  w.number(m.out_epoch, 8);
  w.text(m.out_position);
  w.number(m.flaps, 4);
  w.number(m.lost_vote_epoch, 8);
  w.number(static_cast<std::uint64_t>(m.absence), 1);
  w.number(m.absence_ms, 8);
  w.flag(m.replay);
}

Member read_member(Reader& r) {
  Member m;
  r.raw(m.id.bytes);
  m.name = r.text(kNameBytesMax);
  m.gossip = r.address();
  m.mysql = r.address();
  m.server_id = static_cast<std::uint32_t>(r.number(4));
  m.server_uuid = r.text(kNameBytesMax);
  const std::uint64_t role = r.number(1);
  if (role > static_cast<std::uint64_t>(Role::witness)) r.fail();
  m.role = static_cast<Role>(role);
  m.in = r.flag();
  m.vote = r.flag();
  m.out_class = r.text(kNameBytesMax);
  m.note = r.text(kTextBytesMax);
  m.out_epoch = r.number(8);
  m.out_position = r.text(kPositionBytesMax);
  m.flaps = static_cast<std::uint32_t>(r.number(4));
  m.lost_vote_epoch = r.number(8);
  const std::uint64_t absence = r.number(1);
  if (absence > static_cast<std::uint64_t>(Absence::copying)) r.fail();
  m.absence = static_cast<Absence>(absence);
  m.absence_ms = r.number(8);
  m.replay = r.flag();
  return m;
}

// ---------------------------------------------------------------- the odd voter rule

// Of an even number of healthy voters the one that is left out: out of the ring first, else the last in home order.
NodeId spare_vote(const Config& config, const std::vector<NodeId>& healthy) {
  std::optional<NodeId> last;
  for (auto it = config.members.rbegin(); it != config.members.rend(); ++it) {
    if (!listed(healthy, it->id) || it->role == Role::witness) continue;
    if (!it->in) return it->id;
    if (!last) last = it->id;
  }
  return last ? *last : healthy.back();
}

// Later than any epoch on record: whoever votes still, loses its vote in this change.
constexpr std::uint64_t kLosesItNow = ~std::uint64_t{0};

// With two left the one that lost its vote last stays a voter: when it returns it can help to decide.
std::optional<NodeId> last_lost(const Config& config, const std::vector<NodeId>& healthy) {
  std::optional<NodeId> best;
  std::uint64_t when = 0;
  for (const Member& member : config.members) {
    if (!may_vote(member) || listed(healthy, member.id)) continue;
    const std::uint64_t lost = member.vote ? kLosesItNow : member.lost_vote_epoch;
    if (lost > when) {
      when = lost;
      best = member.id;
    }
  }
  return best;
}

// ---------------------------------------------------------------- one writer

void write_writer(Writer& w, const Config& config) {
  w.raw(config.writer.bytes);
  w.number(config.writer_since, 8);
  w.number(config.lease_ms, 8);
  w.number(config.old_writers.size(), 4);
  for (const OldWriter& old : config.old_writers) {
    w.raw(old.id.bytes);
    w.flag(old.by_time);
  }
}

void read_writer(Reader& r, Config& config) {
  config.one_writer = true;
  r.raw(config.writer.bytes);
  config.writer_since = r.number(8);
  config.lease_ms = r.number(8);
  const std::uint64_t old_writers = r.number(4);
  if (old_writers > kMembersMax) r.fail();
  for (std::uint64_t i = 0; i < old_writers && r.ok(); ++i) {
    OldWriter& old = config.old_writers.emplace_back();
    r.raw(old.id.bytes);
    old.by_time = r.flag();
  }
}

std::optional<Error> wrong_writer(const Config& config) {
  const bool said =
      !config.writer.nil() || config.writer_since != 0 || config.lease_ms != 0 || !config.old_writers.empty();
  if (!config.one_writer) return said ? std::optional(Error{"all may write, so there is no writer"}) : std::nullopt;
  if (config.lease_ms == 0 || config.lease_ms > kLeaseMsMax)
    return Error{"the lease of the writer is 1 ms to " + std::to_string(kLeaseMsMax) + " ms"};
  if (config.old_writers.size() > kMembersMax) return Error{"too many old writers"};
  std::set<NodeId> old;
  for (const OldWriter& one : config.old_writers) {
    if (one.id.nil() || one.id == config.writer || !old.insert(one.id).second)
      return Error{"an old writer is named twice, or is the writer"};
  }
  if (config.writer.nil()) return std::nullopt;
  const Member* member = config.find(config.writer);
  if (member == nullptr || !member->in) return Error{"the writer must be in the ring"};
  return std::nullopt;
}

// ---------------------------------------------------------------- limits

// A text that parse_config would refuse: to decide on it would be to decide on something that nobody can read.
const char* oversized(const Member& m) {
  if (m.gossip.host.size() > kNameBytesMax || m.mysql.host.size() > kNameBytesMax) return "the address of a member";
  if (m.server_uuid.size() > kNameBytesMax) return "the server_uuid of a member";
  if (m.out_class.size() > kNameBytesMax) return "the class of why a member is out";
  if (m.note.size() > kTextBytesMax) return "the note on a member";
  if (m.out_position.size() > kPositionBytesMax) return "the position of a member that is out";
  return nullptr;
}

const char* oversized(const Config& config) {
  if (config.cluster.size() > kNameBytesMax) return "the name of the cluster";
  if (config.paused.by.size() > kNameBytesMax || config.paused.reason.size() > kTextBytesMax)
    return "the reason of the pause";
  if (config.reason.size() > kReasonBytesMax) return "the reason of this epoch";
  if (config.evidence_class.size() > kNameBytesMax || config.proposer.size() > kNameBytesMax)
    return "the proposer's name";
  for (const Member& member : config.members) {
    if (const char* text = oversized(member)) return text;
  }
  return nullptr;
}

}  // namespace

const char* to_string(Role role) {
  switch (role) {
    case Role::ring:
      return "ring";
    case Role::leaf:
      return "leaf";
    case Role::spare:
      return "spare";
    case Role::witness:
      return "witness";
  }
  return "?";
}

Result<Role> parse_role(std::string_view text) {
  for (const Role role : {Role::ring, Role::leaf, Role::spare, Role::witness}) {
    if (text == to_string(role)) return role;
  }
  return fail("\"" + std::string(text) + "\" is no role; it is one of ring, leaf, spare, witness");
}

const char* to_string(Absence absence) {
  switch (absence) {
    case Absence::none:
      return "none";
    case Absence::maintenance:
      return "maintenance";
    case Absence::leaving:
      return "leaving";
    case Absence::moving:
      return "moving";
    case Absence::standby:
      return "standby";
    case Absence::copying:
      return "copying";
  }
  return "?";
}

const Member* Config::find(const NodeId& id) const {
  const std::size_t i = index_of(*this, id);
  return i < members.size() ? &members[i] : nullptr;
}
Member* Config::find(const NodeId& id) {
  return const_cast<Member*>(std::as_const(*this).find(id));
}
const Member* Config::find(std::string_view name) const {
  const auto found = std::find_if(members.begin(), members.end(), [&](const Member& m) { return m.name == name; });
  return found == members.end() ? nullptr : &*found;
}
Member* Config::find(std::string_view name) {
  return const_cast<Member*>(std::as_const(*this).find(name));
}

std::vector<NodeId> ring(const Config& config) {
  std::vector<NodeId> out;
  for (const Member& member : config.members) {
    if (member.in) out.push_back(member.id);
  }
  return out;
}

std::optional<NodeId> upstream(const Config& config, const NodeId& id) {
  const std::size_t n = config.members.size();
  const std::size_t own = index_of(config, id);
  if (own == n || config.members[own].role == Role::witness) return std::nullopt;
  for (std::size_t step = 1; step < n; ++step) {
    const Member& member = config.members[(own + n - step) % n];
    if (member.in) return member.id;
  }
  return std::nullopt;
}

std::vector<NodeId> downstream(const Config& config, const NodeId& id) {
  std::vector<NodeId> in;
  std::vector<NodeId> out;
  for (const NodeId& other : downstream_order(config, id)) {
    if (other == id || upstream(config, other) != id) continue;
    (config.find(other)->in ? in : out).push_back(other);
  }
  in.insert(in.end(), out.begin(), out.end());
  return in;
}

std::vector<NodeId> downstream_order(const Config& config, const NodeId& id) {
  const std::size_t n = config.members.size();
  const std::size_t own = index_of(config, id);
  std::vector<NodeId> out;
  for (std::size_t step = 1; own < n && step <= n; ++step) out.push_back(config.members[(own + step) % n].id);
  return out;
}

std::vector<NodeId> home_order(const Config& config) {
  std::vector<NodeId> out;
  for (const Member& member : config.members) out.push_back(member.id);
  return out;
}

std::string member_names(const Config& config) {
  std::string out;
  for (const Member& member : config.members) out += (out.empty() ? "" : ", ") + member.name;
  return out;
}

void reorder(Config& config, const std::vector<NodeId>& order) {
  std::vector<Member> members;
  for (const NodeId& id : order) members.push_back(*config.find(id));
  config.members = std::move(members);
}

bool same_circle(const std::vector<NodeId>& a, const std::vector<NodeId>& b) {
  if (a.size() != b.size() || a.empty()) return a.size() == b.size();
  std::vector<NodeId> turned = b;
  const auto first = std::find(turned.begin(), turned.end(), a.front());
  std::rotate(turned.begin(), first, turned.end());
  return turned == a;
}

std::vector<NodeId> well_placed(const Config& config) {
  const std::size_t n = config.members.size();
  std::vector<NodeId> best;
  for (std::size_t turn = 0; turn < n && best.size() < n; ++turn) {
    // Patience sorting: `tails[k]` is where the run of length k + 1 that ends lowest ends.
    std::vector<std::size_t> place(n), before(n, n), tails;
    for (std::size_t i = 0; i < n; ++i) {
      const NodeId& id = config.members[(i + turn) % n].id;
      place[i] = static_cast<std::size_t>(std::find(config.wanted_order.begin(), config.wanted_order.end(), id) -
                                          config.wanted_order.begin());
      const auto tail = std::lower_bound(tails.begin(), tails.end(), place[i],
                                         [&](std::size_t at, std::size_t value) { return place[at] < value; });
      if (tail != tails.begin()) before[i] = *(tail - 1);
      if (tail == tails.end())
        tails.push_back(i);
      else
        *tail = i;
    }
    if (tails.size() <= best.size()) continue;
    best.clear();
    for (std::size_t i = tails.back(); i < n; i = before[i]) best.push_back(config.members[(i + turn) % n].id);
    std::reverse(best.begin(), best.end());
  }
  return best;
}

void move_to_place(Config& config, const NodeId& id) {
  const std::vector<NodeId> placed = well_placed(config);
  const std::vector<NodeId>& order = config.wanted_order;
  const std::size_t n = order.size();
  const auto own = static_cast<std::size_t>(std::find(order.begin(), order.end(), id) - order.begin());
  if (own == n || listed(placed, id)) return;
  NodeId behind;
  for (std::size_t step = 1; step < n && behind.nil(); ++step) {
    if (listed(placed, order[(own + n - step) % n])) behind = order[(own + n - step) % n];
  }
  const Member member = *config.find(id);
  config.members.erase(config.members.begin() + static_cast<std::ptrdiff_t>(index_of(config, id)));
  config.members.insert(config.members.begin() + static_cast<std::ptrdiff_t>(index_of(config, behind)) + 1, member);
  end_order_if_reached(config);
}

void end_absence(Member& member) {
  member.absence = Absence::none;
  member.absence_ms = 0;
  member.note.clear();
}

void choose_first_writer(Config& config, std::uint64_t lease_ms) {
  config.one_writer = true;
  config.lease_ms = lease_ms;
  config.writer_since = config.epoch;
  config.old_writers.clear();
  const std::vector<NodeId> in = ring(config);
  if (in.empty()) return;
  config.writer = in.front();
  for (std::size_t i = 1; i < in.size(); ++i) config.old_writers.push_back({in[i], false});
}

void erase_member(Config& config, const NodeId& id) {
  std::erase_if(config.members, [&](const Member& m) { return m.id == id; });
  std::erase(config.wanted_order, id);
  end_order_if_reached(config);
}

std::vector<NodeId> voters(const Config& config) {
  std::vector<NodeId> out;
  for (const Member& member : config.members) {
    if (member.vote) out.push_back(member.id);
  }
  return out;
}

std::size_t majority(const Config& config) {
  return voters(config).size() / 2 + 1;
}

void assign_votes(Config& config, const std::vector<NodeId>& healthy_agents) {
  std::vector<NodeId> healthy;
  for (const Member& member : config.members) {
    if (may_vote(member) && listed(healthy_agents, member.id)) healthy.push_back(member.id);
  }
  if (healthy.empty()) return;
  std::vector<NodeId> chosen = healthy;
  if (healthy.size() == 2) {
    if (const auto lost = last_lost(config, healthy))
      chosen.push_back(*lost);
    else
      chosen.pop_back();
  } else if (healthy.size() % 2 == 0) {
    const NodeId left_out = spare_vote(config, healthy);
    chosen.erase(std::find(chosen.begin(), chosen.end(), left_out));
  }
  for (Member& member : config.members) {
    const bool vote = listed(chosen, member.id);
    if (member.vote && !vote) member.lost_vote_epoch = config.epoch;
    member.vote = vote;
  }
}

std::optional<Error> validate(const Config& config) {
  if (config.members.empty() || config.members.size() > kMembersMax)
    return Error{"a ring has 1 to " + std::to_string(kMembersMax) + " members"};
  if (const char* text = oversized(config)) return Error{std::string(text) + " is too long"};
  std::set<NodeId> ids;
  std::set<std::string> names;
  std::set<std::uint32_t> server_ids;
  bool somebody_in = false;
  for (const Member& member : config.members) {
    if (member.name.empty() || member.name.size() > kNameBytesMax)
      return Error{"a member has no name or one that is too long"};
    if (!ids.insert(member.id).second) return Error{"two members have the id " + member.id.str()};
    if (!names.insert(member.name).second) return Error{"two members are called " + member.name};
    if (member.server_id != 0 && !server_ids.insert(member.server_id).second) {
      return Error{"two members have the server_id " + std::to_string(member.server_id)};
    }
    if (member.in && !may_be_in(member))
      return Error{member.name + " is a " + to_string(member.role) + " and cannot be in the ring"};
    if (member.vote && !may_vote(member)) return Error{member.name + " is a leaf and cannot vote"};
    somebody_in = somebody_in || member.in;
  }
  if (!somebody_in) return Error{"a ring is never empty"};
  const std::vector<NodeId>& order = config.wanted_order;
  if (!order.empty() && (order.size() != ids.size() || std::set(order.begin(), order.end()) != ids))
    return Error{"the wanted order must name each member once"};
  if (auto wrong = wrong_writer(config)) return wrong;
  if (voters(config).size() % 2 == 0)
    return Error{"the number of voters must be odd, it is " + std::to_string(voters(config).size())};
  return std::nullopt;
}

std::string canonical_bytes(const Config& config) {
  Writer w;
  w.number(config.one_writer ? kFormatOneWriter : kFormat, 1);
  w.raw(config.cluster_id.bytes);
  w.text(config.cluster);
  w.number(config.generation, 4);
  w.number(config.epoch, 8);
  w.raw(config.parent);
  w.number(config.members.size(), 4);
  for (const Member& member : config.members) write(w, member);
  w.number(config.wanted_order.size(), 4);
  for (const NodeId& id : config.wanted_order) w.raw(id.bytes);
  w.flag(config.paused.on);
  w.text(config.paused.by);
  w.text(config.paused.reason);
  w.number(config.paused.for_ms, 8);
  w.text(config.reason);
  w.text(config.evidence_class);
  w.text(config.proposer);
  if (config.one_writer) write_writer(w, config);
  return w.take();
}

bool of_newer_version(std::string_view bytes) {
  return !bytes.empty() && static_cast<std::uint8_t>(bytes.front()) > kFormatOneWriter;
}

Result<Config> parse_config(std::string_view bytes) {
  Reader r(bytes);
  const std::uint64_t format = r.number(1);
  if (format != kFormat && format != kFormatOneWriter)
    return fail("a ring config of format " + std::to_string(format) + ", and this version reads " +
                std::to_string(kFormat) + " and " + std::to_string(kFormatOneWriter));
  Config config;
  r.raw(config.cluster_id.bytes);
  config.cluster = r.text(kNameBytesMax);
  config.generation = static_cast<std::uint32_t>(r.number(4));
  config.epoch = r.number(8);
  r.raw(config.parent);
  const std::uint64_t members = r.number(4);
  if (members > kMembersMax) return fail("a ring config with too many members: " + std::to_string(members));
  for (std::uint64_t i = 0; i < members && r.ok(); ++i) config.members.push_back(read_member(r));
  const std::uint64_t ordered = r.number(4);
  if (ordered != 0 && ordered != members) r.fail();
  for (std::uint64_t i = 0; i < ordered && r.ok(); ++i) r.raw(config.wanted_order.emplace_back().bytes);
  config.paused.on = r.flag();
  config.paused.by = r.text(kNameBytesMax);
  config.paused.reason = r.text(kTextBytesMax);
  config.paused.for_ms = r.number(8);
  config.reason = r.text(kReasonBytesMax);
  config.evidence_class = r.text(kNameBytesMax);
  config.proposer = r.text(kNameBytesMax);
  if (format == kFormatOneWriter) read_writer(r, config);
  if (!r.ok() || !r.at_end()) return fail("a ring config that is cut off or damaged");
  if (auto wrong = validate(config)) return fail("an invalid ring config: " + wrong->text);
  return config;
}

Hash hash_bytes(std::string_view bytes) {
  Hash out;
  crypto_generichash(out.data(), out.size(), reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(),
                     nullptr, 0);
  return out;
}

Hash hash(const Config& config) {
  return hash_bytes(canonical_bytes(config));
}

std::string short_hex(const Hash& hash) {
  std::string out;
  for (std::size_t i = 0; i < 4; ++i) {
    out.push_back("0123456789abcdef"[hash[i] >> 4]);
    out.push_back("0123456789abcdef"[hash[i] & 15]);
  }
  return out;
}

std::string describe_change(const Config& from, const Config& to) {
  std::string out;
  const auto say = [&](const std::string& what) { out += (out.empty() ? "" : "; ") + what; };
  for (const Member& member : to.members) {
    const Member* before = from.find(member.id);
    if (before == nullptr) {
      say(member.name + " joins");
      continue;
    }
    if (before->absence != member.absence) {
      const bool over = member.absence == Absence::none;
      say(member.name + ": " + to_string(over ? before->absence : member.absence) + (over ? " over" : ""));
    }
    if (member.replay && !before->replay) say("what is stranded on " + member.name + " may go out");
    if (before->in != member.in) say(member.name + (member.in ? " in" : " out"));
    if (before->vote != member.vote) say(member.name + (member.vote ? " votes" : " votes no more"));
  }
  for (const Member& member : from.members) {
    if (to.find(member.id) == nullptr) say(member.name + " leaves");
  }
  if (to.wanted_order != from.wanted_order && !to.wanted_order.empty()) say("another order is wanted");
  if (from.one_writer != to.one_writer) say(to.one_writer ? "one writes" : "all write");
  if (const Member* writer = to.find(to.writer); from.writer != to.writer && (writer != nullptr || to.one_writer))
    say(writer != nullptr ? writer->name + " is the writer" : "no writer");
  if (from.paused.on != to.paused.on) say(to.paused.on ? "paused" : "resumed");
  return out.empty() ? "nothing" : out;
}

}  // namespace ringagent
