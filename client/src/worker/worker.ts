// The worker of a page: it seals and sends, opens and reads.

import { serve } from "./host.js";
import { hearContinuing } from "./later/going_on.js";
import { hearReading } from "./reading.js";
import { hearSealing } from "./sealer.js";

serve((message) => {
  hearSealing(message);
  hearReading(message);
  hearContinuing(message);
});
