#include "agent/table.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "agent/json_read.h"
#include "agent/picture.h"
#include "agent/text.h"

namespace ringagent {
namespace {

using namespace json_read;

// ---------------------------------------------------------------- a link in words

bool link_runs(const Json& upstream) {
  return str(upstream, "io") == "running" && str(upstream, "sql") == "running";
}

const Json* desired_upstream(const Json& node) {
  for (const auto& upstream : list(node, "upstreams")) {
    if (flag(upstream, "desired")) return &upstream;
  }
  return nullptr;
}

// Without its agent nobody can tell how a node's links are now.
bool told_of(const Json& node) {
  return str(node, "agent") == "alive" || str(node, "agent") == "suspect";
}

LinkLook link_look(const Json& node) {
  const std::string mysql = str(node, "mysql");
  if (mysql == "unknown" || (!told_of(node) && mysql != "down")) return LinkLook::unknown;
  const Json* upstream = desired_upstream(node);
  return upstream && link_runs(*upstream) ? LinkLook::runs : LinkLook::broken;
}

std::string link_words(const Json& upstream) {
  const auto error = number(upstream, "errno").value_or(0);
  if (link_runs(upstream)) return "running";
  if (error != 0) return "error " + std::to_string(error);
  const bool io = str(upstream, "io") == "running";
  const bool sql = str(upstream, "sql") == "running";
  if (str(upstream, "io") == "connecting") return "connecting";
  if (io) return "sql stopped";
  return sql ? "io stopped" : "stopped";
}

std::string picture_of(const Json& status, TableStyle style) {
  std::vector<Stop> stops;
  for (const auto& name : names(status, "ring")) {
    Stop stop{name, LinkLook::unknown};
    for (const auto& node : list(status, "nodes")) {
      if (str(node, "name") == name) stop.into = link_look(node);
    }
    stops.push_back(stop);
  }
  return ring_picture(stops, style.width, style.colour);
}

// ---------------------------------------------------------------- the table

struct Cell {
  std::string text;
  Paint paint = Paint::none;
};
constexpr std::size_t kColumns = 8;
using Row = std::array<Cell, kColumns>;
constexpr std::size_t kNameColumn = 0;
constexpr std::size_t kFollowsColumn = 4;

Paint agent_paint(const std::string& agent) {
  if (agent == "alive") return Paint::green;
  return agent == "dead" ? Paint::red : Paint::yellow;
}

Paint mysql_paint(const std::string& mysql) {
  if (mysql == "up") return Paint::green;
  return mysql == "unknown" ? Paint::yellow : Paint::red;
}

void fill_link(Row& row, const Json& upstream, bool told) {
  const bool runs = link_runs(upstream);
  const bool desired = flag(upstream, "desired");
  row[kFollowsColumn] = {str(upstream, "node") + (desired ? "" : " !"), desired ? Paint::none : Paint::yellow};
  if (!told) {
    row[5] = row[6] = {"?", Paint::dim};
    return;
  }
  row[5] = {link_words(upstream), runs ? Paint::green : Paint::red};
  const auto lag = number(upstream, "lag_ms");
  row[6] = {lag ? human_duration(*lag) : "?", Paint::none};
}

std::string place(const Json& node) {
  if (flag(node, "in")) return "in";
  const std::string role = str(node, "role");
  return role == "ring" ? "out" : role;
}

// One row for each upstream; a node without any has one row all the same.
void add_rows(std::vector<Row>& rows, const Json& node) {
  Row row;
  row[0] = {str(node, "name"), Paint::bold};
  row[1] = {place(node), flag(node, "in") || str(node, "role") != "ring" ? Paint::none : Paint::yellow};
  row[2] = {str(node, "agent"), agent_paint(str(node, "agent"))};
  row[3] = {str(node, "mysql"), mysql_paint(str(node, "mysql"))};
  row[kFollowsColumn] = row[5] = row[6] = {"-", Paint::dim};
  const auto read_only = node.find("read_only");
  const bool known = read_only != node.end() && read_only->is_boolean();
  row[7] = known ? Cell{read_only->get<bool>() ? "ro" : "rw", Paint::none} : Cell{"?", Paint::dim};
  if (known && flag(node, "writer"))
    row[7] = read_only->get<bool>() ? Cell{"writer waits", Paint::red} : Cell{"writer", Paint::bold};
  bool first = true;
  for (const bool desired : {true, false}) {
    for (const auto& upstream : list(node, "upstreams")) {
      if (flag(upstream, "desired") != desired) continue;
      if (!first) row = Row{};
      fill_link(row, upstream, told_of(node));
      rows.push_back(row);
      first = false;
    }
  }
  if (first) rows.push_back(row);
}

// Column widths; the two columns of names give way until the line fits.
std::array<std::size_t, kColumns> widths(const std::vector<Row>& rows, std::size_t width) {
  std::array<std::size_t, kColumns> out{};
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < kColumns; ++i) out[i] = std::max(out[i], columns(row[i].text));
  }
  const auto total = [&] {
    std::size_t sum = 2 * (kColumns - 1);
    for (const std::size_t w : out) sum += w;
    return sum;
  };
  constexpr std::size_t narrowest = 4;
  while (total() > width && std::max(out[kNameColumn], out[kFollowsColumn]) > narrowest) {
    --(out[kNameColumn] > out[kFollowsColumn] ? out[kNameColumn] : out[kFollowsColumn]);
  }
  return out;
}

std::string node_table(const Json& status, TableStyle style) {
  std::vector<Row> rows;
  Row head;
  constexpr std::array<const char*, kColumns> titles = {"NODE",    "PLACE", "AGENT", "MYSQL",
                                                        "FOLLOWS", "LINK",  "LAG",   "RW"};
  for (std::size_t i = 0; i < kColumns; ++i) head[i] = {titles[i], Paint::dim};
  rows.push_back(head);
  for (const auto& node : list(status, "nodes")) add_rows(rows, node);
  if (rows.size() == 1) return {};
  const auto width = widths(rows, style.width);
  std::string out;
  for (const auto& row : rows) {
    std::size_t last = kColumns - 1;
    while (last > 0 && row[last].text.empty()) --last;
    for (std::size_t i = 0; i <= last; ++i) {
      const std::string text = cut(row[i].text, width[i]);
      out += painted(row[i].paint, text, style.colour && !text.empty());
      if (i < last) out += std::string(width[i] - columns(text) + 2, ' ');
    }
    out += "\n";
  }
  return out;
}

// ---------------------------------------------------------------- the words around it

std::string headline(const Json& status, TableStyle style) {
  const std::string health = str(status, "health");
  const Paint paint = health == "ok" ? Paint::green : health == "degraded" ? Paint::yellow : Paint::red;
  const auto generation = number(status, "generation").value_or(0);
  std::string right = "epoch " + std::to_string(number(status, "epoch").value_or(0));
  if (generation != 0) right += ", generation " + std::to_string(generation);
  const std::string seen = ", seen by " + cut(str(status, "node"), 16);
  const std::size_t room = style.width - columns(right + seen) - health.size() - 4;
  const std::string cluster = cut(str(status, "cluster"), room);
  const std::size_t left = columns(cluster) + 2 + health.size();
  return painted(Paint::bold, cluster, style.colour) + ": " + painted(paint, health, style.colour) +
         std::string(style.width - left - columns(right + seen), ' ') + right + seen + "\n";
}

std::string quorum_words(const Json& status, TableStyle style) {
  const auto it = status.find("quorum");
  if (it == status.end() || !it->is_object()) return {};
  const auto voters = names(*it, "voters");
  if (voters.empty()) return "voters: none yet\n";
  const auto reachable = number(*it, "reachable").value_or(0);
  const auto needed = number(*it, "needed").value_or(0);
  std::string text = "voters: " + joined(voters) + "; " + std::to_string(reachable) + " of " +
                     std::to_string(voters.size()) + " reachable, " + std::to_string(needed) + " needed";
  if (!flag(*it, "held")) text += ": NO QUORUM, nothing can be changed";
  return wrapped(text, style.width, 8) + "\n";
}

// "    means: the ring runs without it", the further lines under the words.
std::string explained(const char* label, const std::string& words, TableStyle style) {
  const std::string head = std::string(label) + ":";
  const std::string lines = wrapped(head + " " + words, style.width - 4, 2);
  std::string out = "    " + painted(Paint::dim, head, style.colour);
  for (const char c : lines.substr(head.size())) out += c == '\n' ? std::string("\n    ") : std::string(1, c);
  return out + "\n";
}

// What it means and what to do stands under the last of those for which it is the same.
std::string problem_words(const Json& status, TableStyle style) {
  const auto& problems = list(status, "problems");
  std::string out;
  for (std::size_t i = 0; i < problems.size(); ++i) {
    const Json& problem = problems[i];
    const std::string severity = str(problem, "severity");
    const std::string lines = wrapped(severity + ": " + str(problem, "text"), style.width, 4);
    const Paint paint = severity == "warning" ? Paint::yellow : Paint::red;
    out += painted(paint, severity, style.colour) + lines.substr(severity.size()) + "\n";
    if (i + 1 < problems.size() && str(problems[i + 1], "code") == str(problem, "code")) continue;
    for (const char* key : {"means", "do"}) {
      const std::string words = str(problem, key);
      if (!words.empty()) out += explained(key, words, style);
    }
  }
  return out;
}

// What an out node waits for, where that is not a problem but its way back.
std::string way_back(const Json& status, TableStyle style) {
  std::string out;
  for (const auto& node : list(status, "nodes")) {
    const auto wait = number(node, "rejoin_in_ms");
    if (!wait) continue;
    out +=
        wrapped(str(node, "name") + " comes back in " + human_duration(*wait) + " if it stays healthy", style.width, 4);
    out += "\n";
  }
  return out;
}

Result<Json> parsed(std::string_view text) {
  Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded() || !json.is_object()) return fail("the agent's answer is not a JSON object");
  const auto format = number(json, "format");
  if (!format) return fail("the agent's answer has no \"format\"");
  if (*format != 1) {
    return fail("the agent answers in format " + std::to_string(*format) +
                "; this program reads format 1: use the agent's own version");
  }
  return json;
}

}  // namespace

Result<std::string> status_table(std::string_view json, TableStyle style) {
  style.width = std::max<std::size_t>(style.width, 60);
  const auto status = parsed(json);
  if (!status) return tl::unexpected(status.error());
  std::string out = headline(*status, style) + "\n" + picture_of(*status, style) + "\n";
  const std::string table = node_table(*status, style);
  if (!table.empty()) out += table + "\n";
  out += quorum_words(*status, style);
  out += way_back(*status, style);
  const std::string problems = problem_words(*status, style);
  if (!problems.empty()) out += "\n" + problems;
  return out;
}

Result<std::string> key_table(std::string_view json) {
  const auto status = parsed(json);
  if (!status) return tl::unexpected(status.error());
  std::size_t width = 4;
  for (const Json& node : list(*status, "nodes")) width = std::max(width, str(node, "name").size());
  const auto padded = [](std::string text, std::size_t columns) {
    text.resize(std::max(columns, text.size()), ' ');
    return text;
  };
  std::string out = padded("node", width) + "  agent    keys (* in use)\n";
  for (const Json& node : list(*status, "nodes")) {
    std::string keys;
    for (const std::string& key : names(node, "keys")) keys += keys.empty() ? "*" + key : "  " + key;
    out += padded(str(node, "name"), width) + "  " + padded(str(node, "agent"), 7) + "  " +
           (keys.empty() ? "not known" : keys) + "\n";
  }
  return out;
}

Result<std::string> plan_text(std::string_view json) {
  const auto plan = parsed(json);
  if (!plan) return tl::unexpected(plan.error());
  std::string out;
  for (const auto& statement : names(*plan, "plan")) out += statement + ";\n";
  const std::string why = str(*plan, "why");
  if (out.empty()) return "-- nothing to do" + (why.empty() ? "" : ": " + why) + "\n";
  return (why.empty() ? "" : "-- " + why + "\n") + out;
}

}  // namespace ringagent
