#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "fuzz.h"
#include "mysql/dialect.h"
#include "mysql/gtid.h"
#include "mysql/preconditions.h"

// What a server answers to the questions of a poll, with any names and values. An input is a dialogue as text:
//
//   10.11.19-MariaDB-log      the version that the server claims
//   ?links                    the answer to a question begins
//   Slave_IO_Running=Yes      a cell; without "=" it is NULL. The first row gives the columns their names
//   -                         the next row
//
// All answers go into one state, and what the agent would do with that state is done: ask on, hold it against the
// preconditions, plan a repoint.
using namespace ringagent;
using fuzz::demand;

namespace {

using What = Query::What;

constexpr std::array<std::pair<std::string_view, What>, 9> kQuestions = {{{"links", What::links},
                                                                          {"sets", What::sets},
                                                                          {"binlog", What::binlog},
                                                                          {"identity", What::identity},
                                                                          {"variables", What::variables},
                                                                          {"purged", What::purged},
                                                                          {"at_start", What::at_start},
                                                                          {"glance", What::glance},
                                                                          {"applier", What::applier}}};

std::string_view take_line(std::string_view& text) {
  const std::string_view line = text.substr(0, text.find('\n'));
  text.remove_prefix(std::min(line.size() + 1, text.size()));
  return line;
}

What question(std::string_view name) {
  for (const auto& [known, what] : kQuestions)
    if (name == known) return what;
  return What::links;
}

// The rows up to the next question. Later rows may be shorter or longer than the first: no server does that.
Rows take_rows(std::string_view& text) {
  Rows rows;
  bool begin = true;
  while (!text.empty() && text.front() != '?') {
    const std::string_view line = take_line(text);
    const bool next = line == "-";
    if (begin || next) rows.rows.emplace_back();
    begin = false;
    if (next) continue;
    const std::size_t equals = line.find('=');
    if (rows.rows.size() == 1) rows.columns.emplace_back(line.substr(0, equals));
    auto& cell = rows.rows.back().emplace_back();
    if (equals != std::string_view::npos) cell = std::string(line.substr(equals + 1));
  }
  return rows;
}

// A server reads a text of ours as one statement: what it once said itself stands in literals, and they are closed.
void demand_one_statement(const std::string& sql) {
  bool literal = false;
  for (std::size_t i = 0; i < sql.size(); ++i) {
    if (literal && sql[i] == '\\')
      ++i;
    else if (sql[i] == '\'')
      literal = !literal;
    else if (!literal)
      demand(sql[i] >= ' ' && sql[i] < 0x7f && !std::strchr(";\"#\\", sql[i]), "strange letters are quoted");
  }
  demand(!literal, "a literal ends");
}

void demand_plan(const Result<std::vector<Statement>>& plan) {
  if (!plan) return fuzz::demand_reason(plan.error());
  demand(!plan->empty(), "a plan does something");
  for (const Statement& statement : *plan) demand_one_statement(statement.sql);
}

void absorb(const Dialect& dialect, const Query& query, const Rows& rows, ServerState& state) {
  const auto done = dialect.absorb(query, rows, state);
  if (!done) return fuzz::demand_reason(done.error());
  if (query.what == What::at_start && dialect.version().flavor == Flavor::mysql && !state.purged.empty()) {
    const auto start = GtidSet::parse(Flavor::mysql, state.at_start);
    demand(start && start->contains(*GtidSet::parse(Flavor::mysql, state.purged)), "what was purged was there");
  }
  if (query.what != What::links) return;
  ServerState again = state;
  demand(dialect.absorb(query, rows, again).has_value() && again == state, "the same answer means the same");
  for (const Link& link : state.links) demand(!link.source.host.empty(), "a link has a source");
}

void act_on(const Dialect& dialect, const ServerState& state) {
  for (const bool surveyed : {false, true})
    for (const Query& query : dialect.follow_up(state, surveyed)) demand_one_statement(query.sql);
  for (const Finding& finding : preconditions(state, RingView{{1}, {1}, 4}))
    demand(!finding.code.empty() && !finding.text.empty() && !finding.mend.empty(), "a finding says how to mend it");
  LinkSettings settings;
  settings.user = "repl'";
  settings.password = "\\";
  for (const Link& link : state.links) {
    demand_plan(dialect.repoint(link, link.source));
    demand_plan(dialect.adjust_link(link, settings));
    demand_plan(dialect.create_link(link.source, settings));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text = fuzz::Input(data, size).rest();
  const auto dialect = Dialect::for_server(parse_version(take_line(text)));
  if (!dialect) {
    fuzz::demand_reason(dialect.error());
    return 0;
  }
  ServerState state;
  state.version = dialect->version();
  while (!text.empty()) {
    const std::string_view name = text.front() == '?' ? take_line(text).substr(1) : std::string_view{};
    absorb(*dialect, {question(name), ""}, take_rows(text), state);
  }
  act_on(*dialect, state);
  return 0;
}
