#include "agent/binlog_text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

namespace ringagent {
namespace {

constexpr std::string_view kEnd = "/*!*/;";
constexpr std::string_view kRow = "### ";
constexpr std::string_view kValue = "###   @";
constexpr std::string_view kNext = "SET @@SESSION.GTID_NEXT= '";

bool digits(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

std::uint64_t number_at(std::string_view text) {
  std::uint64_t out = 0;
  std::from_chars(text.data(), text.data() + text.size(), out);
  return out;
}

// "261126  5:55:29" -> "2026-11-26 05:55:29"
std::string time_of(std::string_view text) {
  std::string clock(text.substr(7, 8));
  if (clock[0] == ' ') clock[0] = '0';
  return "20" + std::string(text.substr(0, 2)) + "-" + std::string(text.substr(2, 2)) + "-" +
         std::string(text.substr(4, 2)) + " " + clock;
}

bool is_header(std::string_view line) {
  return line.size() > 30 && line[0] == '#' && digits(line.substr(1, 6)) && line[7] == ' ' &&
         line.substr(16).starts_with(" server id ");
}

// Says that a transaction begins or ends, and nothing else.
bool is_frame(std::string_view text) {
  static constexpr std::array<std::string_view, 4> kFrames = {"BEGIN", "COMMIT", "ROLLBACK", "START TRANSACTION"};
  return std::find(kFrames.begin(), kFrames.end(), text) != kFrames.end() || text.starts_with("SAVEPOINT ");
}

}  // namespace

const char* to_string(RowChange change) {
  switch (change) {
    case RowChange::inserted:
      return "inserted";
    case RowChange::updated:
      return "updated";
    case RowChange::removed:
      return "deleted";
  }
  return "?";
}

std::string take_quoted_name(std::string_view& text) {
  std::string out;
  if (text.empty() || text[0] != '`') return out;
  std::size_t i = 1;
  for (; i < text.size(); ++i) {
    if (text[i] == '`') {
      if (i + 1 >= text.size() || text[i + 1] != '`') break;
      ++i;
    }
    out += text[i];
  }
  text.remove_prefix(std::min(i + 1, text.size()));
  return out;
}

void BinlogText::line(std::string_view line) {
  if (line.ends_with('\r') && !in_statement_) line.remove_suffix(1);
  if (in_statement_) return query_line(line);
  if (line.starts_with(kRow)) return row_line(line);
  if (in_row_) end_row();
  if (is_header(line)) return header(line);
  if (flavor_ == Flavor::mysql && line.starts_with(kNext)) {
    const std::string_view rest = line.substr(kNext.size());
    const std::string_view gtid = rest.substr(0, rest.find('\''));
    if (gtid != "AUTOMATIC" && gtid != "ANONYMOUS") begin(std::string(gtid));
    return;
  }
  if (in_query_ && !line.starts_with('#')) query_line(line);
}

void BinlogText::header(std::string_view line) {
  time_ = time_of(line.substr(1));
  in_query_ = false;
  const std::size_t end = line.find("end_log_pos ");
  const std::uint64_t position = end == std::string_view::npos ? 0 : number_at(line.substr(end + 12));
  event_at_ = event_end_;
  if (position != 0) event_end_ = position;
  const std::size_t tab = line.find('\t');
  if (tab == std::string_view::npos) return;
  const std::string_view kind = line.substr(tab + 1);
  if (kind.starts_with("Rotate to ")) {
    const std::string_view rest = kind.substr(10);
    here_.file = std::string(rest.substr(0, rest.find("  pos: ")));
    const std::size_t at = rest.find("  pos: ");
    event_end_ = at == std::string_view::npos ? 4 : number_at(rest.substr(at + 7));
  } else if (kind.starts_with("GTID") && flavor_ == Flavor::mariadb) {
    const std::string_view rest = kind.substr(std::min<std::size_t>(5, kind.size()));
    begin(std::string(rest.substr(0, rest.find(' '))));
    in_query_ = true;  // START TRANSACTION stands here
  } else if (kind.starts_with("GTID") || kind.starts_with("Tagged")) {
    here_.position = event_at_;  // its name follows
  } else if (kind.starts_with("Query\t") || kind.starts_with("Execute_load_query\t")) {
    in_query_ = true;
  }
}

void BinlogText::begin(std::string gtid) {
  here_.gtid = std::move(gtid);
  here_.time = time_;
  if (flavor_ == Flavor::mariadb) here_.position = event_at_;
  sink_.transaction(here_);
}

// ### UPDATE `shop`.`orders`
// ### WHERE
// ###   @1=4711
// ### SET
// ###   @1=4711
void BinlogText::row_line(std::string_view line) {
  if (line.starts_with(kValue)) {
    const std::string_view rest = line.substr(kValue.size());
    const std::size_t sign = rest.find('=');
    if (!in_row_ || sign == std::string_view::npos || !digits(rest.substr(0, sign))) return;
    auto& image = in_after_ ? row_.after : row_.before;
    image[static_cast<unsigned>(number_at(rest))] = std::string(rest.substr(sign + 1));
    return;
  }
  const std::string_view word = line.substr(kRow.size());
  if (word == "WHERE" || word == "SET") {
    in_after_ = word == "SET";
    return;
  }
  static constexpr std::array<std::pair<std::string_view, RowChange>, 3> kVerbs = {
      {{"INSERT INTO ", RowChange::inserted}, {"UPDATE ", RowChange::updated}, {"DELETE FROM ", RowChange::removed}}};
  for (const auto& [verb, change] : kVerbs) {
    if (!word.starts_with(verb)) continue;
    end_row();
    std::string_view name = word.substr(verb.size());
    row_.table.schema = take_quoted_name(name);
    if (name.starts_with('.')) name.remove_prefix(1);
    row_.table.table = take_quoted_name(name);
    row_.change = change;
    in_row_ = true;
    in_after_ = change == RowChange::inserted;
    return;
  }
}

void BinlogText::end_row() {
  if (in_row_) sink_.row(row_);
  row_ = {};
  in_row_ = false;
}

// use `shop`/*!*/;
// SET TIMESTAMP=1795672528/*!*/;
// ALTER TABLE orders ...
// /*!*/;
void BinlogText::query_line(std::string_view line) {
  if (line == kEnd) {
    if (in_statement_) statement_over();
    return;
  }
  if (!in_statement_) {
    const bool setting = line.ends_with(kEnd);
    if (line.starts_with("use `") && setting) {
      line.remove_prefix(4);
      schema_ = take_quoted_name(line);
    }
    if (setting) return;
    in_statement_ = true;
  }
  if (!statement_.empty()) statement_ += '\n';
  if (statement_.size() < kStatementBytesMax)
    statement_ += line.substr(0, kStatementBytesMax - std::min(kStatementBytesMax, statement_.size()));
}

void BinlogText::statement_over() {
  in_statement_ = false;
  const std::string text = std::exchange(statement_, {});
  if (!is_frame(text)) sink_.statement(schema_, text);
}

}  // namespace ringagent
