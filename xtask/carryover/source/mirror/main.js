const mirror = require('mirror');
console.log(mirror.source().length, mirror.place(), mirror.names(), mirror.size());
console.log(mirror.idle.name, mirror.idle.length);
