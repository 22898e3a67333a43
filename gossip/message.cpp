#include "gossip/message.h"

namespace ringagent {

const char* to_string(MysqlHealth health) {
  switch (health) {
    case MysqlHealth::unknown:
      return "unknown";
    case MysqlHealth::up:
      return "up";
    case MysqlHealth::down:
      return "down";
    case MysqlHealth::hung:
      return "hung";
    case MysqlHealth::denied:
      return "denied";
    case MysqlHealth::none:
      return "none";
  }
  return "?";
}

const char* to_string(EdgeState state) {
  switch (state) {
    case EdgeState::unknown:
      return "unknown";
    case EdgeState::ok:
      return "ok";
    case EdgeState::refused:
      return "refused";
    case EdgeState::silent:
      return "silent";
  }
  return "?";
}

const char* to_string(Phase phase) {
  switch (phase) {
    case Phase::none:
      return "none";
    case Phase::checking:
      return "checking";
    case Phase::following:
      return "following";
    case Phase::settling:
      return "settling";
    case Phase::ready:
      return "ready";
    case Phase::refused:
      return "refused";
    case Phase::draining:
      return "draining";
    case Phase::drained:
      return "drained";
    case Phase::copying:
      return "copying";
  }
  return "?";
}

const char* to_string(Liveness liveness) {
  switch (liveness) {
    case Liveness::alive:
      return "alive";
    case Liveness::suspect:
      return "suspect";
    case Liveness::dead:
      return "dead";
    case Liveness::left:
      return "left";
  }
  return "?";
}

const char* to_string(Evidence evidence) {
  switch (evidence) {
    case Evidence::none:
      return "none";
    case Evidence::mysqld_down:
      return "mysqld_down";
    case Evidence::unsafe:
      return "unsafe";
    case Evidence::mysqld_hung:
      return "mysqld_hung";
    case Evidence::stuck:
      return "stuck";
    case Evidence::refused:
      return "refused";
    case Evidence::silent:
      return "silent";
    case Evidence::headless:
      return "headless";
    case Evidence::link:
      return "link";
    case Evidence::returned:
      return "returned";
    case Evidence::votes:
      return "votes";
    case Evidence::command:
      return "command";
    case Evidence::formation:
      return "formation";
    case Evidence::replaced:
      return "replaced";
    case Evidence::not_empty:
      return "not_empty";
    case Evidence::unfollowed:
      return "unfollowed";
    case Evidence::planned:
      return "planned";
    case Evidence::address:
      return "address";
    case Evidence::forced:
      return "forced";
    case Evidence::joined:
      return "joined";
    case Evidence::writer:
      return "writer";
  }
  return "?";
}

}  // namespace ringagent
