const fs = require('fs');

exports.source = function source() {
  return String(source);
};

exports.place = function place() {
  const found = /index\.js:(\d+:\d+)/.exec(new Error('here').stack);
  return found[1];
};

exports.names = () => fs.readdirSync(__dirname);

exports.size = () => fs.statSync(__filename).size;

exports.idle = function idle(a, b) {
  if (a > b) {
    return a - b;
  }
  return a + b;
};
