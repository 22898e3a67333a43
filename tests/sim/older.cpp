#include "tests/sim/older.h"

#include <algorithm>

namespace ringagent::sim {
namespace {

constexpr char kFormatToCome =
    99;  // as format 4 is to it, and what is there today cannot be read by today's code either

void drop_appended(NodeRecord& record) {
  record.one_writer = false;
  record.closed_epoch = 0;
}

struct Reading {
  bool operator()(Facts& facts) const {
    for (NodeRecord& record : facts.records) drop_appended(record);
    return true;
  }
  bool operator()(Hello& hello) const {
    drop_appended(hello.record);
    return true;
  }
  bool operator()(Canvass& canvass) const {
    for (CanvassItem& item : canvass.items) {
      if (item.evidence == Evidence::writer) item.evidence = Evidence::none;
    }
    return true;
  }
  bool operator()(Decided& decided) const {
    for (std::string& bytes : decided.configs) {
      const auto config = parse_config(bytes);
      if (config && config->one_writer) bytes.front() = kFormatToCome;
    }
    return true;
  }
  bool operator()(LeaseAsk& /*ask*/) const { return false; }
  bool operator()(LeaseGrant& /*grant*/) const { return false; }
  template <class T>
  bool operator()(T& /*known*/) const {
    return true;
  }
};

}  // namespace

std::optional<Message> read_by_older(Message message) {
  if (!std::visit(Reading{}, message.body)) return std::nullopt;
  return message;
}

NodeSettings settings_of_older(NodeSettings settings) {
  settings.agent_version = "0.0.9";
  settings.one_writer = false;
  return settings;
}

}  // namespace ringagent::sim
