#include "mysql/gtid.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>

namespace ringagent {
namespace {

using Interval = GtidSet::Interval;
using Intervals = std::vector<Interval>;

bool is_space(char c) {
  return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

// Cuts the part before the next `separator` off `text`; the last part leaves `text` empty with `more` false.
struct Splitter {
  std::string_view text;
  char separator;
  bool more = true;
  std::string_view next() {
    const auto at = text.find(separator);
    const auto part = text.substr(0, at);
    more = at != std::string_view::npos;
    text = more ? text.substr(at + 1) : std::string_view{};
    return trim(part);
  }
};

template <class T>
std::optional<T> number(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return value;
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

std::string quoted(std::string_view part) {
  return "'" + std::string(part.substr(0, 80)) + "'";
}

std::optional<Interval> interval(std::string_view first, std::string_view last) {
  const auto low = number<std::uint64_t>(trim(first));
  const auto high = number<std::uint64_t>(trim(last));
  if (!low || !high || *low < 1 || *high < *low || *high > GtidSet::kNumberMax) return std::nullopt;
  return Interval{*low, *high};
}

// "5" or "1-5".
std::optional<Interval> mysql_interval(std::string_view text) {
  const auto dash = text.find('-');
  if (dash == std::string_view::npos) return interval(text, text);
  return interval(text.substr(0, dash), text.substr(dash + 1));
}

std::optional<std::string> mysql_uuid(std::string_view text) {
  const auto uuid = Uuid::parse(text);
  if (!uuid || text.size() != 36) return std::nullopt;
  return uuid->str();
}

std::optional<std::string> mysql_tag(std::string_view text) {
  std::string tag = lower(text);
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || c == '_'; };
  if (tag.empty() || tag.size() > 32 || !letter(tag.front())) return std::nullopt;
  for (const char c : tag)
    if (!letter(c) && !(c >= '0' && c <= '9')) return std::nullopt;
  return tag;
}

void normalize(Intervals& list) {
  std::sort(list.begin(), list.end());
  Intervals merged;
  for (const Interval& i : list) {
    if (!merged.empty() && i.first <= merged.back().last + 1)
      merged.back().last = std::max(merged.back().last, i.last);
    else
      merged.push_back(i);
  }
  list = std::move(merged);
}

Intervals difference(const Intervals& from, const Intervals& taken) {
  Intervals rest;
  auto cut = taken.begin();
  for (Interval left : from) {
    while (cut != taken.end() && cut->last < left.first) ++cut;
    bool gone = false;
    for (auto c = cut; c != taken.end() && c->first <= left.last; ++c) {
      if (c->first > left.first) rest.push_back({left.first, c->first - 1});
      gone = c->last >= left.last;
      if (gone) break;
      left.first = c->last + 1;
    }
    if (!gone) rest.push_back(left);
  }
  return rest;
}

using Streams = std::map<GtidSet::Stream, Intervals>;

// "uuid:1-5:7:tag:1-3"
std::optional<Error> parse_mysql_part(std::string_view part, Streams& into, std::size_t& count) {
  Splitter pieces{part, ':'};
  GtidSet::Stream stream;
  const auto uuid = mysql_uuid(pieces.next());
  if (!uuid) return Error{"GTID set: no server_uuid at the beginning of " + quoted(part)};
  stream.uuid = *uuid;
  bool bare = true;  // a uuid or a tag must be followed by an interval
  while (pieces.more) {
    const auto piece = pieces.next();
    if (const auto i = mysql_interval(piece)) {
      into[stream].push_back(*i);
      ++count;
      bare = false;
    } else if (const auto tag = mysql_tag(piece)) {
      if (bare && !stream.tag.empty()) break;
      stream.tag = *tag;
      bare = true;
    } else {
      return Error{"GTID set: " + quoted(piece) + " is neither an interval nor a tag in " + quoted(part)};
    }
  }
  if (bare) return Error{"GTID set: an interval is missing in " + quoted(part)};
  return std::nullopt;
}

// "domain-server-number" or "domain-server-first..last"
std::optional<Error> parse_mariadb_part(std::string_view part, Streams& into, std::size_t& count) {
  Splitter pieces{part, '-'};
  GtidSet::Stream stream;
  const auto domain = number<std::uint32_t>(pieces.next());
  const auto server = pieces.more ? number<std::uint32_t>(pieces.next()) : std::nullopt;
  const auto range = pieces.more ? pieces.next() : std::string_view{};
  const auto dots = range.find("..");
  const auto i =
      dots == std::string_view::npos ? interval("1", range) : interval(range.substr(0, dots), range.substr(dots + 2));
  if (!domain || !server || !i || pieces.more)
    return Error{"GTID position: " + quoted(part) + " is not domain-server-number"};
  stream.domain = *domain;
  stream.server = *server;
  into[stream].push_back(*i);
  ++count;
  return std::nullopt;
}

}  // namespace

Result<GtidSet> GtidSet::parse(Flavor flavor, std::string_view text) {
  if (text.size() > kGtidTextBytesMax)
    return fail("GTID set: " + std::to_string(text.size()) + " bytes are more than the limit of " +
                std::to_string(kGtidTextBytesMax));
  GtidSet set;
  std::size_t count = 0;
  Splitter parts{text, ','};
  while (parts.more) {
    const auto part = parts.next();
    if (part.empty()) continue;  // the servers accept and MySQL prints ", \n" and a trailing comma
    if (flavor == Flavor::unknown) return fail("GTID set: the server's flavour is not known");
    const auto error = flavor == Flavor::mysql ? parse_mysql_part(part, set.streams_, count)
                                               : parse_mariadb_part(part, set.streams_, count);
    if (error) return tl::unexpected<Error>(*error);
    if (count > kGtidIntervalsMax)
      return fail("GTID set: more than " + std::to_string(kGtidIntervalsMax) + " intervals");
  }
  for (auto& [stream, list] : set.streams_) normalize(list);
  return set;
}

std::string GtidSet::str() const {
  std::string out;
  const Stream* before = nullptr;
  for (const auto& [stream, list] : streams_) {
    if (stream.uuid.empty()) {
      for (const Interval& i : list) {
        if (!out.empty()) out += ',';
        out += std::to_string(stream.domain) + "-" + std::to_string(stream.server) + "-";
        if (i.first > 1) out += std::to_string(i.first) + "..";
        out += std::to_string(i.last);
      }
      continue;
    }
    if (!before || before->uuid != stream.uuid) out += (before ? "," : "") + stream.uuid;
    if (!stream.tag.empty()) out += ":" + stream.tag;
    for (const Interval& i : list) {
      out += ":" + std::to_string(i.first);
      if (i.last > i.first) out += "-" + std::to_string(i.last);
    }
    before = &stream;
  }
  return out;
}

bool GtidSet::contains(const GtidSet& other) const {
  return other.subtract(*this).empty();
}

GtidSet GtidSet::unite(const GtidSet& other) const {
  GtidSet sum = *this;
  for (const auto& [stream, list] : other.streams_) {
    auto& into = sum.streams_[stream];
    into.insert(into.end(), list.begin(), list.end());
    normalize(into);
  }
  return sum;
}

GtidSet GtidSet::subtract(const GtidSet& other) const {
  GtidSet rest;
  for (const auto& [stream, list] : streams_) {
    const auto taken = other.streams_.find(stream);
    Intervals left = taken == other.streams_.end() ? list : difference(list, taken->second);
    if (!left.empty()) rest.streams_[stream] = std::move(left);
  }
  return rest;
}

GtidSet GtidSet::intersect(const GtidSet& other) const {
  return subtract(subtract(other));
}

std::uint64_t GtidSet::count() const {
  std::uint64_t total = 0;
  for (const auto& [stream, list] : streams_)
    for (const Interval& i : list) {
      const std::uint64_t more = i.last - i.first + 1;
      if (total > std::numeric_limits<std::uint64_t>::max() - more) return std::numeric_limits<std::uint64_t>::max();
      total += more;
    }
  return total;
}

GtidSet GtidSet::restricted_to_origin(std::string_view origin) const {
  const std::string uuid = lower(trim(origin));
  const auto server = number<std::uint32_t>(trim(origin));
  GtidSet part;
  for (const auto& [stream, list] : streams_) {
    const bool mine = stream.uuid.empty() ? server == stream.server : uuid == stream.uuid;
    if (mine) part.streams_[stream] = list;
  }
  return part;
}

std::uint64_t GtidSet::highest(std::string_view origin) const {
  std::uint64_t top = 0;
  for (const auto& [stream, list] : restricted_to_origin(origin).streams_) top = std::max(top, list.back().last);
  return top;
}

std::vector<std::uint32_t> GtidSet::domains() const {
  std::vector<std::uint32_t> out;
  for (const auto& [stream, list] : streams_)
    if (stream.uuid.empty() && (out.empty() || out.back() != stream.domain)) out.push_back(stream.domain);
  return out;
}

bool GtidSet::covers_position(const GtidSet& slave_pos) const {
  std::map<std::uint32_t, std::uint64_t> reached;
  for (const auto& [stream, list] : streams_)
    reached[stream.domain] = std::max(reached[stream.domain], list.back().last);
  for (const auto& [stream, list] : slave_pos.streams_)
    if (list.back().last > reached[stream.domain]) return false;
  return true;
}

}  // namespace ringagent
