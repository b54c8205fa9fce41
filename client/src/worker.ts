// The worker of the page that sends: without what opens mailboxes, which would weigh on a slow line.

import { serve } from "./host.js";

serve(null);
